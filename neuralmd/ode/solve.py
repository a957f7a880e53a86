"""`solve`: from one phase state to a list of times, forward or backward."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neuralmd.errors import SolverError
from neuralmd.fields.base import Field
from neuralmd.ode.adjoints import ContinuousAdjoint, ReversibleAdjoint
from neuralmd.ode.course import Course
from neuralmd.ode.dynamics import Clock
from neuralmd.ode.general import integrate
from neuralmd.ode.grid import uniform_grid
from neuralmd.ode.reversible import solve_reversibly
from neuralmd.ode.solvers import Solver, SplittingSolver
from neuralmd.ode.steps import plan
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
        accelerations: dv/dt of the same curve [A/fs^2], where the solver has them at no cost: the field's own on the
            grid of a splitting method, the second derivative of its quintic between the steps; none for others.
        statistics: What it cost.
    """

    times: Times
    positions: Curves
    velocities: Curves
    accelerations: Curves | None
    statistics: Statistics


def solve(field: Field, state: PhaseState, times: Times, solver: Solver) -> Solution:
    """Integrate the equation of motion from a phase state to a list of times.

    dx/dt = v,  dv/dt = f_theta(x, v),  (x, v)(times[0]) = state

    A field may learn dx/dt; v, in the solution too, is then its p / m (see `neuralmd.fields.base.Field`).

    Fixed-step solvers step uniformly over the whole span. A query time between two steps is interpolated: by a
    quintic for the splitting methods (velocity Verlet, Blanes and Moan), by torchdiffeq's cubic for rk4 and midpoint,
    by the method's own quartic for dopri5. The splitting methods run here, the others on torchdiffeq.

    Args:
        field: The acceleration [A/fs^2].
        state: Where the solve starts.
        times: Query times [fs]; the first is the time of `state`. Decreasing times integrate backward in time.
        solver: The method, its step or tolerances, and how to take gradients.

    Raises:
        SolverError: If the times are neither increasing nor decreasing, the state is not finite, the solver cannot
            take the field, or the solve fails.
    """
    clock = _clock(times)
    _check(field, solver)
    if len(times) == 1:
        _check_start(state)
        return Solution(times, state.positions[None], state.velocities[None], None, Statistics(0, 0, 0))
    if isinstance(solver, SplittingSolver) and not isinstance(solver.adjoint, ContinuousAdjoint):
        solution = _split(field, state, times, clock, solver)
    else:
        _check_start(state)
        done = integrate(field, state, clock, solver)
        statistics = Statistics(done.evaluations, done.accepted, done.rejected)
        solution = Solution(times, done.positions, clock.direction * done.velocities, None, statistics)
    if not _finite(solution.positions[-1], solution.velocities[-1]):  # what is not finite once remains so
        _check_start(state)
        raise _divergence(solution, solver)
    return solution


def _split(field: Field, state: PhaseState, times: Times, clock: Clock, solver: SplittingSolver) -> Solution:
    """Solve by a splitting method, in elapsed time: the field depends on x only, so v -> -v turns time around."""
    steps = plan(clock.elapsed, uniform_grid(clock.elapsed, solver.step), state.positions.device)
    course = Course(field, solver.splitting, steps, state.positions.dtype)
    position, velocity = state.positions, clock.direction * state.velocities
    if isinstance(solver.adjoint, ReversibleAdjoint):
        found = solve_reversibly(course, position, velocity, solver.adjoint.checkpoints)
    else:
        found = course.solution(course.knots(position, velocity))
    statistics = Statistics(course.evaluations, len(steps), 0)
    return Solution(times, found[0], clock.direction * found[1], found[2], statistics)


def _clock(times: Times) -> Clock:
    if len(times) == 0:
        raise SolverError("a solve needs at least one time, that of the state it starts from, but none came")
    exact = times.detach().to("cpu", torch.float64)
    change = exact.diff()
    if not bool(torch.isfinite(exact).all()) or not bool((change > 0).all() | (change < 0).all()):
        raise SolverError("the times of a solve must be finite, and strictly increase or strictly decrease")
    direction = -1.0 if bool((change < 0).any()) else 1.0
    return Clock(float(exact[0]), direction, (exact - exact[0]).abs())


def _check(field: Field, solver: Solver) -> None:
    if not isinstance(solver, SplittingSolver):
        if isinstance(solver.adjoint, ReversibleAdjoint):
            raise SolverError(
                f"the steps of {solver.name} cannot be undone, which the reversible adjoint lives on: use the "
                "continuous adjoint, or velocity_verlet or blanes_moan"
            )
        return
    if field.depends_on_velocity:
        raise SolverError(
            f"{solver.name} needs an acceleration that depends on positions only, but {type(field).__name__} reads "
            "velocities too: use rk4, midpoint or dopri5"
        )
    if field.learns_velocity:
        raise SolverError(
            f"{solver.name} needs dx/dt = v, but {type(field).__name__} learns dx/dt: use rk4, midpoint or dopri5"
        )


def _check_start(state: PhaseState) -> None:
    if not _finite(state.positions, state.velocities):
        raise SolverError(
            "a solve needs a finite state to start from, but it has NaN or infinite positions or velocities"
        )


def _divergence(solution: Solution, solver: Solver) -> SolverError:
    good = (torch.isfinite(solution.positions) & torch.isfinite(solution.velocities)).all(-1).all(-1)
    when = float(solution.times[int((~good).any(1).nonzero()[0])])
    count, batch = int((~good).any(0).sum()), good.shape[1]
    remedy = "tighten the tolerances" if solver.adaptive else "use a smaller step"
    return SolverError(
        f"{solver.name} diverged before t = {when:.6g} fs in {count} of {batch} configurations: {remedy}, or check the "
        "field and the velocities it starts from"
    )


def _finite(positions: Tensor, velocities: Tensor) -> bool:
    return bool(torch.isfinite(positions).all() & torch.isfinite(velocities).all())
