"""Both solutions of a gap: which times a solve must reach, and the solves forward and backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.data.anchors import Anchors
from neuralmd.fields.base import Field
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.mismatch import Solutions
from neuralmd.ode.grid import count_steps
from neuralmd.ode.solve import Solution, solve
from neuralmd.ode.solvers import Dopri5, Solver
from neuralmd.system import PhaseState, Times

_ROUNDING = 1e-9
"""Part of the gap below which two query times are one: some rounding errors of float64."""


Parts = Float[Tensor, " _"]
"""Times as parts of a gap."""

Impulses = Float[Tensor, "kick batch atoms 3"]
"""Changes of the velocities [A/fs] at evenly spaced times, the first at the first anchor."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Query times and sets of probes, as one list of times that a solve must reach.

    Attributes:
        distinct: All times [fs], each once.
        gap: [fs].
        s: The query times as parts of the gap.
        places: Where in `distinct` the query times and each set of probes are.
    """

    distinct: Float[Tensor, " distinct"]
    gap: float
    s: Times
    places: Sequence[Int[Tensor, " _"]]

    @staticmethod
    def of(exact: Times, probes: Sequence[Parts], gap: float) -> Asked:
        """Times of a gap, and sets of its parts."""
        every = (exact, *(gap * some.to(exact) for some in probes))
        times, place = distinct(torch.cat(every), gap)
        return Asked(times, gap, exact / gap, place.split([len(some) for some in every]))

    def solutions(self, forward: Path, backward: Path) -> list[Solutions]:
        """Both solutions at the query times, with each set of probes."""
        queries, *sets = self.places
        ahead, back = at(forward, queries), at(backward, queries)
        return [Solutions(self.gap, self.s, ahead, back, at(forward, each), at(backward, each)) for each in sets]


def at(path: Path, index: Int[Tensor, " query"]) -> Path:
    """Some of the states of a path."""
    accelerations = None if path.accelerations is None else path.accelerations[index]
    return Path(path.positions[index], path.velocities[index], accelerations)


@dataclass(frozen=True, eq=False)
class Plan:
    """Times elapsed from either anchor that serve both directions, and where in them each direction's queries are.

    The schedule always spans the whole gap, or the same part of it, so that the steps of a solve, and with them its
    result at any time, do not depend on which other times are asked for.
    """

    schedule: Float[Tensor, " elapsed"]
    ahead: Int[Tensor, " time"]
    back: Int[Tensor, " time"]

    @staticmethod
    def of(times: Times, gap: float, span: float) -> Plan:
        """The plan for the given times, of which each direction reaches those within its span [fs]."""
        ends = torch.tensor([0.0, span], dtype=times.dtype, device=times.device)
        elapsed = torch.cat((ends, times.clamp(max=span), (gap - times).clamp(max=span)))
        schedule, place = distinct(elapsed, gap)
        schedule[-1] = span
        return Plan(schedule, place[2 : 2 + len(times)], place[2 + len(times) :])


def span_of(solver: Solver, gap: float, reach: float) -> float:
    """The time that covers a part of the gap in steps of the length that the whole gap would have [fs]."""
    if isinstance(solver, Dopri5):
        return reach * gap
    steps = count_steps(gap, solver.step)
    return gap * min(math.ceil(steps * reach - _ROUNDING), steps) / steps


def forward_path(field: Field, solver: Solver, anchors: Anchors, plan: Plan) -> Path:
    """The solution from the first anchor."""
    return _pick(field, solve(field, anchors.start, plan.schedule, solver), plan.ahead)


def backward_path(field: Field, solver: Solver, anchors: Anchors, plan: Plan) -> Path:
    """The solution from the second anchor, in order of increasing time."""
    return _pick(field, solve(field, anchors.end, anchors.gap - plan.schedule, solver), plan.back)


def both_paths(field: Field, solver: Solver, anchors: Anchors, plan: Plan) -> tuple[Path, Path]:
    """Both directions in one solve: where f_theta = f_theta(x), going back in time is going forward with -v."""
    start, end = anchors.start, anchors.end
    both = PhaseState(torch.cat((start.positions, end.positions)), torch.cat((start.velocities, end.velocities.neg())))
    solution = solve(field, both, plan.schedule, solver)
    batch = len(start.positions)
    x, v, a = solution.positions, solution.velocities, solution.accelerations
    forward = Path(x[plan.ahead, :batch], v[plan.ahead, :batch], None if a is None else a[plan.ahead, :batch])
    backward = Path(x[plan.back, batch:], v[plan.back, batch:].neg(), None if a is None else a[plan.back, batch:])
    return forward, backward


def _pick(field: Field, solution: Solution, index: Int[Tensor, " query"]) -> Path:
    path = at(Path(solution.positions, solution.velocities, solution.accelerations), index)
    if not field.learns_velocity:
        return path
    flat = PhaseState(path.positions.flatten(0, 1), path.velocities.flatten(0, 1))
    return Path(path.positions, field.velocity(flat).unflatten(0, path.positions.shape[:2]))


def distinct(every: Float[Tensor, " query"], gap: float) -> tuple[Float[Tensor, " distinct"], Int[Tensor, " query"]]:
    """The times in order, each once, and where in them each of the given ones is."""
    order = every.argsort(stable=True)
    ordered = every[order]
    # t and gap - t of uniform times are the same set but for rounding
    fresh = torch.cat((ordered.new_ones(1, dtype=torch.bool), ordered.diff() > _ROUNDING * gap))
    place = torch.empty_like(order)
    place[order] = fresh.long().cumsum(0) - 1
    return ordered[fresh], place
