"""How a solver's gradients are made where backpropagation through its steps takes too much memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from neuralmd.errors import ConfigError


@dataclass(frozen=True)
class ReversibleAdjoint:
    """Exact gradients by undoing the steps one by one, in memory that does not grow with their number.

    x = x' - a h v,  X_v += a h X_x  (a drift);  v = v' - b h f(x),  X_x += b h X_v df/dx  (a kick)

    The gradients X are those of the discrete solution: backpropagation gives the same, and keeps the graph of every
    evaluation for it. Here each evaluation is done a second time in the backward pass, with its own small graph, so a
    training step costs about 4/3 of one by backpropagation. For splitting methods only, which can be undone.

    A step is undone up to rounding. States are summed up in float64, so the rounding is that of float64 for a float32
    field too, unless the field itself gives different bits the second time, as some GPU sums do. A few states kept on
    the way, from which the backward pass starts afresh, bound what can grow of that.

    Attributes:
        checkpoints: Most states kept on the way; none of them holds a graph.

    Raises:
        ConfigError: If `checkpoints` is negative.

    Reference:
        Maclaurin, Duvenaud & Adams, Gradient-based hyperparameter optimization through reversible learning (2015),
        arXiv 1502.03492, for the idea; Hairer, Lubich & Wanner, Geometric Numerical Integration (2006), V.1, for why
        symmetric methods can be undone.
    """

    checkpoints: int = 8

    def __post_init__(self) -> None:
        if self.checkpoints < 0:
            raise ConfigError(f"the checkpoints of a reversible adjoint must be 0 or more, but are {self.checkpoints}")


@dataclass(frozen=True)
class ContinuousAdjoint:
    """Gradients by solving the adjoint equation backward in time, in memory that does not grow with the steps.

    d lambda/dt = -lambda^T df/dy,  dL/dtheta = -int lambda^T df/dtheta dt

    torchdiffeq's odeint_adjoint. The gradients are those of the exact flow, discretised anew, so they agree with
    backpropagation through the solver up to the error of both.

    Attributes:
        method: How to solve the adjoint equation. It is not of second order, so a splitting method cannot.
        step: Largest step of rk4 and midpoint [fs]; none for one step from query time to query time.
        rtol: Relative tolerance of dopri5.
        atol: Absolute tolerance of dopri5.
        seminorm: Whether the error control of dopri5 leaves the gradients of the parameters out, which saves some
            40 % of the evaluations.
        max_steps: Most steps of dopri5 before the solve counts as failed.

    Raises:
        ConfigError: If a number is not positive and finite, or dopri5 is given a step.

    Reference:
        Chen et al., Neural Ordinary Differential Equations (2018), arXiv 1806.07366; Kidger et al., "Hey, that's not
        an ODE" (2021), arXiv 2009.09457 for the seminorm.
    """

    method: Literal["rk4", "midpoint", "dopri5"] = "rk4"
    step: float | None = None
    rtol: float = 1e-5
    atol: float = 1e-6
    seminorm: bool = True
    max_steps: int = 10_000

    def __post_init__(self) -> None:
        if self.step is not None:
            check_positive("the adjoint's step [fs]", self.step)
            if self.method == "dopri5":
                raise ConfigError("dopri5 chooses its own steps: give the adjoint rtol and atol instead of a step")
        check_tolerances(self.rtol, self.atol, self.max_steps)


def check_positive(name: str, value: float) -> None:
    """Raise ConfigError unless the value is positive and finite."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be positive and finite, but is {value}")


def check_tolerances(rtol: float, atol: float, max_steps: int) -> None:
    """Raise ConfigError unless these are settings that an adaptive solver can work with."""
    check_positive("rtol", rtol)
    check_positive("atol", atol)
    if max_steps < 1:
        raise ConfigError(f"max_steps must be at least 1, but is {max_steps}")
