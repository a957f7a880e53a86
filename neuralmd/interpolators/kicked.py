"""Both solutions of a gap with changes of velocity on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.data.anchors import Anchors
from neuralmd.errors import SolverError
from neuralmd.fields.base import Field
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.both_ways import Impulses, Plan
from neuralmd.ode.course import Course
from neuralmd.ode.grid import uniform_grid
from neuralmd.ode.hermite import Knot
from neuralmd.ode.solvers import Solver, SplittingSolver
from neuralmd.ode.splitting import Acceleration, knots
from neuralmd.ode.steps import plan as plan_steps
from neuralmd.system import PhaseState

_SLACK = 1e-6
"""Part of a step by which a kick may miss the solver's grid: rounding."""

Knots = Float[Tensor, "both atoms 3"]


def kicked_paths(field: Field, solver: Solver, anchors: Anchors, plan: Plan, impulses: Impulses) -> tuple[Path, Path]:
    """Forward and backward in one solve, with kicks v(t_j) <- v(t_j) + p_j at t_j = j gap / K.

    Forward in time a kick comes before the step that begins at t_j; the backward solution takes the same kick back when
    it arrives there. At t_j itself both give the velocity before the kick. It costs what the solve without kicks costs.

    Args:
        field: f(x).
        solver: A splitting method whose steps divide the time from kick to kick.
        anchors: Where the solutions start.
        plan: The times at which they are wanted.
        impulses: p_j for j = 0 .. K - 1 [A/fs].

    Raises:
        SolverError: If the solver cannot do it, or diverges.
    """
    if not isinstance(solver, SplittingSolver) or field.depends_on_velocity or field.learns_velocity:
        raise SolverError(
            f"rounds of the bridge need velocity_verlet or blanes_moan and a field that depends on positions only, but "
            f"{solver.name} and {type(field).__name__} came; take model.correction.rounds=0"
        )
    start, end = anchors.start, anchors.end
    x = torch.cat((start.positions, end.positions))
    v = torch.cat((start.velocities, end.velocities.neg()))
    elapsed = plan.schedule.to("cpu", torch.float64)
    grid = uniform_grid(elapsed, solver.step)
    course = Course(field, solver.splitting, plan_steps(elapsed, grid, x.device), x.dtype)
    positions, velocities, accelerations = _solve(
        course, PhaseState(x.double(), v.double()), _on_grid(grid.tolist(), anchors.gap, impulses)
    )
    if not bool(torch.isfinite(positions[-1]).all() & torch.isfinite(velocities[-1]).all()):
        raise SolverError(f"{solver.name} diverged under the inferred kicks: take model.correction.rounds=0")
    batch = len(start.positions)
    x, v, a = (part[plan.ahead, :batch] for part in (positions, velocities, accelerations))
    forward = Path(x, v, a)
    x, v, a = (part[plan.back, batch:] for part in (positions, -velocities, accelerations))
    return forward, Path(x, v, a)


@dataclass(frozen=True, eq=False)
class _Kick:
    """The kick at a point of the grid.

    Attributes:
        size: In elapsed time, for the forward and the backward half of the batch.
        batch: Configurations in each half.
    """

    size: Knots
    batch: int

    def leaving(self, knot: Knot) -> Knot:
        """The state after the kick."""
        return Knot(knot.position, knot.velocity + self.size, knot.acceleration)

    def seen(self, knot: Knot) -> Knot:
        """The state before the kick in physical time: on arrival forward, and after the kick backward."""
        backward = torch.cat((torch.zeros_like(self.size[: self.batch]), self.size[self.batch :]))
        return Knot(knot.position, knot.velocity + backward, knot.acceleration)


def _on_grid(grid: list[float], gap: float, impulses: Impulses) -> dict[int, _Kick]:
    """The kicks by the index of their point of the grid, a part of the gap.

    Raises:
        SolverError: If a kick is not on the grid.
    """
    count, batch = impulses.shape[:2]
    step, between = grid[1] - grid[0], gap / count
    every = round(between / step)
    if every < 1 or abs(every * step - between) > _SLACK * step:
        raise SolverError(
            f"rounds of the bridge kick every {between:g} fs, which steps of {step:g} fs do not divide: take a "
            "model.solver.step that divides the data's time step"
        )
    nothing = torch.zeros_like(impulses[:1])
    ahead, back = torch.cat((impulses, nothing)), torch.cat((nothing, impulses.flip(0)))
    sizes = torch.cat((ahead, back), dim=1).double()
    return {j * every: _Kick(sizes[j], batch) for j in range(count + 1) if j * every < len(grid)}


def _solve(course: Course, state: PhaseState, kicks: dict[int, _Kick]) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, velocities and accelerations at the query times."""
    parts: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])

    def note(knot: Knot) -> None:
        for part, value in zip(parts, (knot.position, knot.velocity, knot.acceleration), strict=True):
            part.append(value.to(course.dtype))

    for index, (leaving, arriving) in enumerate(_legs(course, state, kicks)):
        if index == 0:
            note(kicks[0].seen(Knot(state.positions, state.velocities, leaving.acceleration)))
        step = course.steps[index]
        if step.inside is not None:
            for part, curve in zip(parts, step.read(leaving, arriving).to(course.dtype).unbind(1), strict=True):
                part.extend(curve)
        if step.read_at_end:
            note(kicks[index + 1].seen(arriving) if index + 1 in kicks else arriving)
    positions, velocities, accelerations = (torch.stack(part) for part in parts)
    return positions, velocities, accelerations


def _legs(course: Course, state: PhaseState, kicks: dict[int, _Kick]) -> Iterator[tuple[Knot, Knot]]:
    """Each step's start, after the kick there, and its end, before the kick there."""
    rate = course.acceleration(state.positions, state.velocities)
    knot = Knot(state.positions, state.velocities, rate)
    for index, step in enumerate(course.steps):
        leaving = kicks[index].leaving(knot) if index in kicks else knot
        acceleration = _remembering(course, leaving)
        *_, knot = knots(acceleration, leaving.position, leaving.velocity, [step.length], course.splitting)
        yield leaving, knot


def _remembering(course: Course, known: Knot) -> Acceleration:
    """The field, which is not evaluated again at a knot: the start of a step is the end of the one before."""

    def acceleration(position: Tensor, velocity: Tensor) -> Tensor:
        return known.acceleration if position is known.position else course.acceleration(position, velocity)

    return acceleration
