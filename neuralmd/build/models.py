"""From the configuration of a model to the model."""

from __future__ import annotations

from typing import assert_never

from neuralmd.build.fields import field
from neuralmd.build.recurrent import Recurrent, recurrent
from neuralmd.config import (
    AdjointConfig,
    BlendConfig,
    CorrectionConfig,
    Dopri5Config,
    LinearBlendConfig,
    MidpointConfig,
    ModelConfig,
    NeuralODEConfig,
    PowerBlendConfig,
    QuinticBlendConfig,
    RecurrentConfig,
    RK4Config,
    SmoothstepBlendConfig,
    SolverConfig,
    VelocityVerletConfig,
)
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import Blend, LinearBlend, PowerBlend, QuinticBlend, SmoothstepBlend
from neuralmd.interpolators.correction import MismatchCorrection
from neuralmd.ode.solvers import RK4, Adjoint, Dopri5, Midpoint, Solver, VelocityVerlet
from neuralmd.system import System

Trainable = BidirectionalODE | Recurrent
"""What can be trained."""


def solver(config: SolverConfig, timestep: float) -> Solver:
    """The solver that a configuration describes; a step that it leaves open is the data's time step [fs]."""
    adjoint = None if config.adjoint is None else _adjoint(config.adjoint)
    match config:
        case VelocityVerletConfig():
            return VelocityVerlet(config.step or timestep, adjoint)
        case RK4Config():
            return RK4(config.step or timestep, adjoint)
        case MidpointConfig():
            return Midpoint(config.step or timestep, adjoint)
        case Dopri5Config():
            return Dopri5(config.rtol, config.atol, config.max_steps, adjoint)
        case _:
            assert_never(config)


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
            return BidirectionalODE(
                field(config.field, system),
                solver(config.solver, timestep),
                blend(config.blend),
                None if config.correction is None else _correction(config.correction, system, timestep),
            )
        case RecurrentConfig():
            return recurrent(config, blend(config.blend), system, timestep)
        case _:
            assert_never(config)


def _correction(config: CorrectionConfig, system: System, timestep: float) -> MismatchCorrection:
    return MismatchCorrection(system, [stride * timestep for stride in config.strides], config.terms)


def _adjoint(config: AdjointConfig) -> Adjoint:
    return Adjoint(config.method, config.step, config.rtol, config.atol, config.seminorm)
