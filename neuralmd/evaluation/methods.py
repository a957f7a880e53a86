"""The methods that a trained model is compared with, by the names that tables and files use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from neuralmd.errors import ConfigError
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.one_way import BackwardODE, ForwardODE
from neuralmd.interpolators.recurrent import BackwardRNN, BidirectionalRNN, ForwardRNN
from neuralmd.interpolators.splines import CubicHermite, Linear, NaturalCubicSpline, QuinticHermite
from neuralmd.interpolators.whole_gap import WholeGapRNN

NEURAL_ODE = "neural_ode"
"""The name of the blended neural ODE."""


def splines() -> dict[str, Interpolator]:
    """All splines, the ones that need least first."""
    return {
        "linear": Linear(),
        "cubic_spline": NaturalCubicSpline(),
        "cubic_hermite": CubicHermite(),
        "quintic_hermite": QuinticHermite(),
    }


def directions(model: BidirectionalODE | ForwardRNN | BidirectionalRNN | WholeGapRNN) -> dict[str, Interpolator]:
    """The directions of a trained model, all with the same weights; the model itself comes last.

    A neural ODE and a bidirectional recurrent network go forward only, backward only, and both ways, blended; the
    others have one direction.
    """
    match model:
        case BidirectionalODE():
            return {
                "neural_ode_forward": ForwardODE(model.field, model.solver).eval(),
                "neural_ode_backward": BackwardODE(model.field, model.solver).eval(),
                NEURAL_ODE: model,
            }
        case ForwardRNN():
            return {f"{model.rollout.architecture.cell}_forward": model}
        case BidirectionalRNN():
            cell, rollout, frames = model.rollout.architecture.cell, model.rollout, model.boundary_frames
            return {
                f"{cell}_forward": ForwardRNN(rollout, frames).eval(),
                f"{cell}_backward": BackwardRNN(rollout, frames).eval(),
                f"{cell}": model,
            }
        case WholeGapRNN():
            return {f"{model.architecture.cell}_whole_gap": model}
        case _:
            assert_never(model)


def applicable(methods: Mapping[str, Interpolator], *, forces: bool) -> dict[str, Interpolator]:
    """The methods that data with or without forces allow."""
    return {name: method for name, method in methods.items() if forces or not method.needs_forces}


def named(name: str, methods: Mapping[str, Interpolator]) -> Interpolator:
    """The method of a name.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in methods:
        raise ConfigError(f"there is no method {name!r}; the methods are {', '.join(methods)}")
    return methods[name]
