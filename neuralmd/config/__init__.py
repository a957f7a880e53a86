"""The frozen schema of an experiment, and the YAML files and command-line overrides that fill it in.

Objects never see it: `neuralmd.build` turns an `Experiment` into them.
"""

from neuralmd.config.corrections import (
    BridgeCorrectionConfig,
    CorrectionConfig,
    LearnedBlendConfig,
    LeastSquaresCorrectionConfig,
)
from neuralmd.config.experiment import Data, Experiment, ModelConfig, Run, Tracking
from neuralmd.config.fields import (
    CalculatorFieldConfig,
    ConservativeFieldConfig,
    EnsembleFieldConfig,
    EquivariantFieldConfig,
    FieldConfig,
    FrictionFieldConfig,
    HamiltonianFieldConfig,
    MLPFieldConfig,
    VelocityDependentFieldConfig,
)
from neuralmd.config.files import dump, flatten, load
from neuralmd.config.model import (
    AdjointConfig,
    BlanesMoanConfig,
    BlendConfig,
    CompactBlendConfig,
    ContinuousAdjointConfig,
    Dopri5Config,
    ErrorBarsConfig,
    FittedBlendConfig,
    LinearBlendConfig,
    MidpointConfig,
    NeuralODEConfig,
    PowerBlendConfig,
    QuinticBlendConfig,
    ReversibleAdjointConfig,
    RK4Config,
    SmoothstepBlendConfig,
    SolverConfig,
    VelocityVerletConfig,
)
from neuralmd.config.recurrent import RecurrentConfig
from neuralmd.config.training import DerivativeStage, StageConfig, Training, TrajectoryStage

__all__ = [
    "AdjointConfig",
    "BlanesMoanConfig",
    "BlendConfig",
    "BridgeCorrectionConfig",
    "CalculatorFieldConfig",
    "CompactBlendConfig",
    "ConservativeFieldConfig",
    "ContinuousAdjointConfig",
    "CorrectionConfig",
    "Data",
    "DerivativeStage",
    "Dopri5Config",
    "EnsembleFieldConfig",
    "EquivariantFieldConfig",
    "ErrorBarsConfig",
    "Experiment",
    "FieldConfig",
    "FittedBlendConfig",
    "FrictionFieldConfig",
    "HamiltonianFieldConfig",
    "LearnedBlendConfig",
    "LeastSquaresCorrectionConfig",
    "LinearBlendConfig",
    "MLPFieldConfig",
    "MidpointConfig",
    "ModelConfig",
    "NeuralODEConfig",
    "PowerBlendConfig",
    "QuinticBlendConfig",
    "RK4Config",
    "RecurrentConfig",
    "ReversibleAdjointConfig",
    "Run",
    "SmoothstepBlendConfig",
    "SolverConfig",
    "StageConfig",
    "Tracking",
    "Training",
    "TrajectoryStage",
    "VelocityDependentFieldConfig",
    "VelocityVerletConfig",
    "dump",
    "flatten",
    "load",
]
