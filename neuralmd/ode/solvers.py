"""The solvers that `solve` knows, one immutable description each, and the adjoint as an option of every one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from neuralmd.errors import ConfigError


@dataclass(frozen=True)
class Adjoint:
    """Gradients by solving the adjoint equation backward in time, in memory that does not grow with the steps.

    d lambda/dt = -lambda^T df/dy,  dL/dtheta = -int lambda^T df/dtheta dt

    torchdiffeq's odeint_adjoint. The gradients are those of the exact flow, discretised anew, so they agree with
    backpropagation through the solver up to the error of both.

    Attributes:
        method: How to solve the adjoint equation. It is not of second order, so velocity Verlet cannot.
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
            _check_positive("the adjoint's step [fs]", self.step)
            if self.method == "dopri5":
                raise ConfigError("dopri5 chooses its own steps: give the adjoint rtol and atol instead of a step")
        _check_tolerances(self.rtol, self.atol, self.max_steps)


@dataclass(frozen=True)
class VelocityVerlet:
    """Velocity Verlet: second order, symplectic, time-reversible; one evaluation a step. Needs f_theta(x).

    x' = x + h v + h^2/2 f(x),  v' = v + h/2 (f(x) + f(x'))

    Attributes:
        step: Largest step h [fs]; steps are uniform over the span.
        adjoint: How to take gradients; none for backpropagation through the steps.

    Reference:
        Swope et al., J. Chem. Phys. 76 (1982) 637, doi 10.1063/1.442716.
    """

    adaptive: ClassVar[bool] = False
    step: float
    adjoint: Adjoint | None = None

    def __post_init__(self) -> None:
        _check_positive("the step of velocity Verlet [fs]", self.step)


@dataclass(frozen=True)
class RK4:
    """Runge-Kutta of fourth order (the 3/8 rule); four evaluations a step.

    Attributes:
        step: Largest step [fs]; steps are uniform over the span.
        adjoint: How to take gradients; none for backpropagation through the steps.
    """

    adaptive: ClassVar[bool] = False
    step: float
    adjoint: Adjoint | None = None

    def __post_init__(self) -> None:
        _check_positive("the step of rk4 [fs]", self.step)


@dataclass(frozen=True)
class Midpoint:
    """The explicit midpoint rule: second order; two evaluations a step.

    Attributes:
        step: Largest step [fs]; steps are uniform over the span.
        adjoint: How to take gradients; none for backpropagation through the steps.
    """

    adaptive: ClassVar[bool] = False
    step: float
    adjoint: Adjoint | None = None

    def __post_init__(self) -> None:
        _check_positive("the step of midpoint [fs]", self.step)


@dataclass(frozen=True)
class Dopri5:
    """Dormand-Prince 5(4) with steps chosen by the error estimate; six evaluations a step.

    One step size serves the whole batch, so a result depends, within the tolerance, on its neighbours in the batch.

    Attributes:
        rtol: Relative tolerance; below about 1e-6 float32 cannot meet it.
        atol: Absolute tolerance, in A for positions and A/fs for velocities.
        max_steps: Most steps, accepted or rejected, before the solve counts as failed.
        adjoint: How to take gradients; none for backpropagation through the steps.

    Reference:
        Dormand & Prince, J. Comput. Appl. Math. 6 (1980) 19, doi 10.1016/0771-050X(80)90013-3.
    """

    adaptive: ClassVar[bool] = True
    rtol: float = 1e-5
    atol: float = 1e-6
    max_steps: int = 10_000
    adjoint: Adjoint | None = None

    def __post_init__(self) -> None:
        _check_tolerances(self.rtol, self.atol, self.max_steps)


Solver = VelocityVerlet | RK4 | Midpoint | Dopri5
"""Any of the solvers."""


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be positive and finite, but is {value}")


def _check_tolerances(rtol: float, atol: float, max_steps: int) -> None:
    _check_positive("rtol", rtol)
    _check_positive("atol", atol)
    if max_steps < 1:
        raise ConfigError(f"max_steps must be at least 1, but is {max_steps}")
