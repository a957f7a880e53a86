"""From the configuration of a model to the model."""

from __future__ import annotations

from typing import assert_never

from neuralmd.build.fields import field
from neuralmd.build.recurrent import Recurrent, recurrent
from neuralmd.config import (
    AdjointConfig,
    BlanesMoanConfig,
    BlendConfig,
    BridgeCorrectionConfig,
    CompactBlendConfig,
    ContinuousAdjointConfig,
    CorrectionConfig,
    Dopri5Config,
    EquivariantCorrectionConfig,
    FittedBlendConfig,
    LearnedBlendConfig,
    LeastSquaresCorrectionConfig,
    LinearBlendConfig,
    MidpointConfig,
    ModelConfig,
    NeuralODEConfig,
    PowerBlendConfig,
    QuinticBlendConfig,
    RecurrentConfig,
    ReversibleAdjointConfig,
    RK4Config,
    SmoothstepBlendConfig,
    SolverConfig,
    VelocityVerletConfig,
)
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import Blend, CompactBlend, LinearBlend, PowerBlend, QuinticBlend, SmoothstepBlend
from neuralmd.interpolators.bridge import ThermostatBridge
from neuralmd.interpolators.correction import MismatchCorrection
from neuralmd.interpolators.equivariant_correction import EquivariantCorrection
from neuralmd.interpolators.error_bars import ErrorBars
from neuralmd.interpolators.learned_blend import LearnedBlend
from neuralmd.interpolators.mismatch import Correction
from neuralmd.ode.adjoints import ContinuousAdjoint, ReversibleAdjoint
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Midpoint, Solver, VelocityVerlet
from neuralmd.system import System

Trainable = BidirectionalODE | Recurrent
"""What can be trained."""


def solver(config: SolverConfig, timestep: float) -> Solver:
    """The solver that a configuration describes; a step that it leaves open is the data's time step [fs]."""
    match config:
        case VelocityVerletConfig():
            return VelocityVerlet(config.step or timestep, adjoint(config.adjoint))
        case BlanesMoanConfig():
            return BlanesMoan(config.step or timestep, adjoint(config.adjoint))
        case RK4Config():
            return RK4(config.step or timestep, _continuous(config.adjoint))
        case MidpointConfig():
            return Midpoint(config.step or timestep, _continuous(config.adjoint))
        case Dopri5Config():
            return Dopri5(config.rtol, config.atol, config.max_steps, _continuous(config.adjoint))
        case _:
            assert_never(config)


def adjoint(config: AdjointConfig | None) -> ReversibleAdjoint | ContinuousAdjoint | None:
    """The adjoint that a configuration describes; none for backpropagation."""
    if isinstance(config, ReversibleAdjointConfig):
        return ReversibleAdjoint(config.checkpoints)
    return _continuous(config)


def blend(config: BlendConfig) -> Blend:
    """The lambda that a configuration describes."""
    match config:
        case LinearBlendConfig():
            return LinearBlend()
        case SmoothstepBlendConfig():
            return SmoothstepBlend()
        case QuinticBlendConfig():
            return QuinticBlend()
        case PowerBlendConfig():
            return PowerBlend(config.exponent)
        case CompactBlendConfig():
            return CompactBlend(config.margin, config.exponent)
        case _:
            assert_never(config)


def interpolator(config: ModelConfig, system: System, timestep: float) -> Trainable:
    """The model that a configuration describes, with fresh weights.

    Args:
        config: Field, solver and blend, or the recurrent network.
        system: The molecule.
        timestep: The data's time step [fs].
    """
    match config:
        case NeuralODEConfig():
            bars = config.error_bars
            return BidirectionalODE(
                field(config.field, system),
                solver(config.solver, timestep),
                _fitted_blend(config.blend, system, timestep),
                _correction(config.correction, system, timestep),
                None if bars is None else ErrorBars(system, bars.strides, timestep, bars.level),
                _bridge(config.correction, system, timestep),
                None
                if bars is None or not bars.inferred_strides
                else ErrorBars(system, bars.inferred_strides, timestep, bars.level),
            )
        case RecurrentConfig():
            return recurrent(config, blend(config.blend), system, timestep)
        case _:
            assert_never(config)


def _fitted_blend(config: FittedBlendConfig, system: System, timestep: float) -> Blend:
    if isinstance(config, LearnedBlendConfig):
        return LearnedBlend(system, [stride * timestep for stride in config.strides])
    return blend(config)


def _correction(config: CorrectionConfig | None, system: System, timestep: float) -> Correction | None:
    match config:
        case None | BridgeCorrectionConfig(terms=0):
            return None
        case LeastSquaresCorrectionConfig() | BridgeCorrectionConfig():
            return MismatchCorrection(system, [stride * timestep for stride in config.strides], config.terms)
        case EquivariantCorrectionConfig():
            gaps = [stride * timestep for stride in config.strides]
            return EquivariantCorrection(system, gaps, config.channels, config.terms)
        case _:
            assert_never(config)


def _bridge(config: CorrectionConfig | None, system: System, timestep: float) -> ThermostatBridge | None:
    match config:
        case BridgeCorrectionConfig():
            return ThermostatBridge(system, config.strides, timestep, config.rounds)
        case EquivariantCorrectionConfig(bridge=True):
            return ThermostatBridge(system, config.strides, timestep, 0)
        case _:
            return None


def _continuous(config: ContinuousAdjointConfig | None) -> ContinuousAdjoint | None:
    if config is None:
        return None
    return ContinuousAdjoint(config.method, config.step, config.rtol, config.atol, config.seminorm, config.max_steps)
