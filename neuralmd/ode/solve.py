"""`solve`: from one phase state to a list of times, forward or backward, on torchdiffeq."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as field_
from typing import Any, cast

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from neuralmd.errors import SolverError
from neuralmd.fields.base import Field
from neuralmd.ode.dynamics import Clock, Dynamics, StepWatch
from neuralmd.ode.grid import uniform_grid
from neuralmd.ode.solvers import RK4, Adjoint, Dopri5, Solver, VelocityVerlet
from neuralmd.ode.verlet import VELOCITY_VERLET
from neuralmd.system import Curves, PhaseState, Times


@dataclass(frozen=True)
class Statistics:
    """What a solve cost.

    Attributes:
        evaluations: Evaluations of the field in the forward pass (NFE).
        accepted: Steps taken.
        rejected: Steps that an adaptive solver tried in vain.
    """

    evaluations: int
    accepted: int
    rejected: int


@dataclass(frozen=True, eq=False)
class Solution:
    """The states at the times asked for.

    Attributes:
        times: The times [fs], in the order in which they were asked for.
        positions: x [A].
        velocities: v [A/fs], of the physical time, whatever the direction of the solve.
        statistics: What it cost.
    """

    times: Times
    positions: Curves
    velocities: Curves
    statistics: Statistics


def solve(field: Field, state: PhaseState, times: Times, solver: Solver) -> Solution:
    """Integrate the equation of motion from a phase state to a list of times.

    dx/dt = v,  dv/dt = f_theta(x, v),  (x, v)(times[0]) = state

    A field may learn dx/dt; v, in the solution too, is then its p / m (see `neuralmd.fields.base.Field`).

    Fixed-step solvers step uniformly over the whole span. A query time between two steps is interpolated: by a
    quintic for velocity Verlet, by torchdiffeq's cubic for rk4 and midpoint, by the method's own quartic for dopri5.

    Args:
        field: The acceleration [A/fs^2].
        state: Where the solve starts.
        times: Query times [fs]; the first is the time of `state`. Decreasing times integrate backward in time.
        solver: The method, its step or tolerances, and how to take gradients.

    Raises:
        SolverError: If the times are neither increasing nor decreasing, the state is not finite, the solver cannot
            take the field, or the solve fails.
    """
    clock = _clock(times, state.positions.device)
    _check(field, state, solver)
    if len(times) == 1:
        return Solution(times, state.positions[None], state.velocities[None], Statistics(0, 0, 0))
    method = _method(solver, clock.elapsed)
    dynamics = Dynamics(field, clock.direction)
    watch = _watch(dynamics, clock, solver)
    start = (state.positions, clock.direction * state.velocities)
    positions, velocities = _integrate(dynamics, start, clock.elapsed, method, solver.adjoint)
    _check_result(positions, velocities, times, method)
    steps, rejected = (method.steps, 0) if watch is None else (watch.attempts - watch.rejected, watch.rejected)
    statistics = Statistics(dynamics.evaluations, steps, rejected)
    return Solution(times, positions, clock.direction * velocities, statistics)


@dataclass(frozen=True, eq=False)
class _Method:
    """A solver in torchdiffeq's words."""

    name: str
    rtol: float = 1e-7
    atol: float = 1e-9
    options: dict[str, Any] = field_(default_factory=dict)
    steps: int = 0


def _method(solver: Solver, elapsed: Times) -> _Method:
    if isinstance(solver, Dopri5):
        return _Method("dopri5", solver.rtol, solver.atol)
    grid = uniform_grid(elapsed, solver.step)
    options: dict[str, Any] = {"grid_constructor": lambda _func, _state, _times: grid}
    steps = len(grid) - 1
    if isinstance(solver, VelocityVerlet):
        return _Method(VELOCITY_VERLET, options=options, steps=steps)
    # The cubic costs an evaluation at every query, so it is for queries off the grid only.
    options["interp"] = "linear" if bool(torch.isin(elapsed, grid).all()) else "cubic"
    return _Method("rk4" if isinstance(solver, RK4) else "midpoint", options=options, steps=steps)


def _integrate(
    dynamics: Dynamics, start: tuple[Tensor, Tensor], elapsed: Times, method: _Method, adjoint: Adjoint | None
) -> tuple[Curves, Curves]:
    if adjoint is None:
        solution = odeint(
            dynamics, start, elapsed, rtol=method.rtol, atol=method.atol, method=method.name, options=method.options
        )
        return cast("tuple[Curves, Curves]", solution)
    solution = odeint_adjoint(
        dynamics,
        start,
        elapsed,
        rtol=method.rtol,
        atol=method.atol,
        method=method.name,
        options=method.options,
        adjoint_rtol=adjoint.rtol,
        adjoint_atol=adjoint.atol,
        adjoint_method=adjoint.method,
        adjoint_options=_adjoint_options(adjoint),
    )
    return cast("tuple[Curves, Curves]", solution)


def _adjoint_options(adjoint: Adjoint) -> dict[str, Any]:
    if adjoint.method == "dopri5":
        return {"norm": "seminorm"} if adjoint.seminorm else {}
    step = adjoint.step
    return {} if step is None else {"grid_constructor": lambda _func, _state, times: uniform_grid(times, step)}


def _watch(dynamics: Dynamics, clock: Clock, solver: Solver) -> StepWatch | None:
    """Watch the adaptive parts of the solve; the watch of the forward pass, if that is one."""
    first, last = float(clock.elapsed[0]), float(clock.elapsed[-1])
    forward = StepWatch(clock, first, solver.max_steps, "dopri5") if isinstance(solver, Dopri5) else None
    adjoint = solver.adjoint
    backward = None
    if adjoint is not None and adjoint.method == "dopri5":
        backward = StepWatch(clock, last, adjoint.max_steps, "the adjoint's dopri5")
    dynamics.watch(forward, backward)
    return forward


def _clock(times: Times, device: torch.device) -> Clock:
    if len(times) == 0:
        raise SolverError("a solve needs at least one time, that of the state it starts from, but none came")
    exact = times.detach().to(device, torch.float64)
    change = exact.diff()
    if not bool(torch.isfinite(exact).all()) or not bool((change > 0).all() | (change < 0).all()):
        raise SolverError("the times of a solve must be finite, and strictly increase or strictly decrease")
    direction = -1.0 if bool((change < 0).any()) else 1.0
    return Clock(float(exact[0]), direction, (exact - exact[0]).abs())


def _check(field: Field, state: PhaseState, solver: Solver) -> None:
    if isinstance(solver, VelocityVerlet) and field.depends_on_velocity:
        raise SolverError(
            f"velocity Verlet needs an acceleration that depends on positions only, but {type(field).__name__} reads "
            "velocities too: use rk4, midpoint or dopri5"
        )
    if isinstance(solver, VelocityVerlet) and field.learns_velocity:
        raise SolverError(
            f"velocity Verlet needs dx/dt = v, but {type(field).__name__} learns dx/dt: use rk4, midpoint or dopri5"
        )
    if not _finite(state.positions, state.velocities):
        raise SolverError(
            "a solve needs a finite state to start from, but it has NaN or infinite positions or velocities"
        )


def _check_result(positions: Curves, velocities: Curves, times: Times, method: _Method) -> None:
    if _finite(positions, velocities):
        return
    good = (torch.isfinite(positions) & torch.isfinite(velocities)).all(-1).all(-1)
    when = float(times[int((~good).any(1).nonzero()[0])])
    count, batch = int((~good).any(0).sum()), good.shape[1]
    remedy = "tighten the tolerances" if method.steps == 0 else "use a smaller step"
    raise SolverError(
        f"{method.name} diverged before t = {when:.6g} fs in {count} of {batch} configurations: {remedy}, or check the "
        "field and the velocities it starts from"
    )


def _finite(positions: Tensor, velocities: Tensor) -> bool:
    return bool(torch.isfinite(positions).all() & torch.isfinite(velocities).all())
