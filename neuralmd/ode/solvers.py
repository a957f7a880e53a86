"""The solvers that `solve` knows, one immutable description each, and the adjoint as an option of every one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neuralmd.ode.adjoints import ContinuousAdjoint, ReversibleAdjoint, check_positive, check_tolerances
from neuralmd.ode.splitting import SRKN6B, VERLET, Splitting


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

    name: ClassVar[str] = "velocity_verlet"
    adaptive: ClassVar[bool] = False
    splitting: ClassVar[Splitting] = VERLET
    step: float
    adjoint: ReversibleAdjoint | ContinuousAdjoint | None = None

    def __post_init__(self) -> None:
        check_positive("the step of velocity Verlet [fs]", self.step)


@dataclass(frozen=True)
class BlanesMoan:
    """The Runge-Kutta-Nystrom method SRKN_6^b: fourth order, symplectic, time-reversible. Needs f_theta(x).

    v <- v + b_i h f(x),  x <- x + a_i h v,  six times over, and a last kick that serves the next step too

    Six evaluations a step. On a benzene of springs at 500 K, 25 evaluations over 10 fs (steps of 2.5 fs) err by 9e-6 A
    at the end, where 21 of velocity Verlet err by 2e-4 A; steps of 10 fs are unstable. That is the error against the
    exact flow: data from a Verlet integrator follow Verlet's own flow, which only Verlet of the same step reproduces.

    Attributes:
        step: Largest step h [fs]; steps are uniform over the span.
        adjoint: How to take gradients; none for backpropagation through the steps.

    Reference:
        Blanes & Moan, J. Comput. Appl. Math. 142 (2002) 313, doi 10.1016/S0377-0427(01)00492-7, table 3.
    """

    name: ClassVar[str] = "blanes_moan"
    adaptive: ClassVar[bool] = False
    splitting: ClassVar[Splitting] = SRKN6B
    step: float
    adjoint: ReversibleAdjoint | ContinuousAdjoint | None = None

    def __post_init__(self) -> None:
        check_positive("the step of Blanes and Moan's method [fs]", self.step)


@dataclass(frozen=True)
class RK4:
    """Runge-Kutta of fourth order (the 3/8 rule); four evaluations a step.

    Attributes:
        step: Largest step [fs]; steps are uniform over the span.
        adjoint: How to take gradients; none for backpropagation through the steps.
    """

    name: ClassVar[str] = "rk4"
    adaptive: ClassVar[bool] = False
    step: float
    adjoint: ContinuousAdjoint | None = None

    def __post_init__(self) -> None:
        check_positive("the step of rk4 [fs]", self.step)


@dataclass(frozen=True)
class Midpoint:
    """The explicit midpoint rule: second order; two evaluations a step.

    Attributes:
        step: Largest step [fs]; steps are uniform over the span.
        adjoint: How to take gradients; none for backpropagation through the steps.
    """

    name: ClassVar[str] = "midpoint"
    adaptive: ClassVar[bool] = False
    step: float
    adjoint: ContinuousAdjoint | None = None

    def __post_init__(self) -> None:
        check_positive("the step of midpoint [fs]", self.step)


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

    name: ClassVar[str] = "dopri5"
    adaptive: ClassVar[bool] = True
    rtol: float = 1e-5
    atol: float = 1e-6
    max_steps: int = 10_000
    adjoint: ContinuousAdjoint | None = None

    def __post_init__(self) -> None:
        check_tolerances(self.rtol, self.atol, self.max_steps)


SplittingSolver = VelocityVerlet | BlanesMoan
"""Solvers that take turns of kicks and drifts, which can be undone one by one."""

Solver = SplittingSolver | RK4 | Midpoint | Dopri5
"""Any of the solvers."""
