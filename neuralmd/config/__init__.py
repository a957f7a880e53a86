"""The frozen schema of an experiment, and the YAML files and command-line overrides that fill it in.

Objects never see it: `neuralmd.build` turns an `Experiment` into them.
"""

from neuralmd.config.experiment import Data, Experiment, Run, Tracking
from neuralmd.config.files import dump, flatten, load
from neuralmd.config.model import (
    AdjointConfig,
    BlendConfig,
    Dopri5Config,
    EquivariantFieldConfig,
    LinearBlendConfig,
    MidpointConfig,
    NeuralODEConfig,
    PowerBlendConfig,
    QuinticBlendConfig,
    RK4Config,
    SmoothstepBlendConfig,
    SolverConfig,
    VelocityVerletConfig,
)
from neuralmd.config.training import DerivativeStage, StageConfig, Training, TrajectoryStage

__all__ = [
    "AdjointConfig",
    "BlendConfig",
    "Data",
    "DerivativeStage",
    "Dopri5Config",
    "EquivariantFieldConfig",
    "Experiment",
    "LinearBlendConfig",
    "MidpointConfig",
    "NeuralODEConfig",
    "PowerBlendConfig",
    "QuinticBlendConfig",
    "RK4Config",
    "Run",
    "SmoothstepBlendConfig",
    "SolverConfig",
    "StageConfig",
    "Tracking",
    "Training",
    "TrajectoryStage",
    "VelocityVerletConfig",
    "dump",
    "flatten",
    "load",
]
