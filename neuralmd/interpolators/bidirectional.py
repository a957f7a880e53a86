"""The neural ODE as an interpolator: forward from the first anchor, backward from the second, or both, blended."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.data.anchors import Anchors
from neuralmd.fields.base import Field
from neuralmd.interpolators.base import Interpolator, Path, clean_times
from neuralmd.interpolators.blending import Blend, blend
from neuralmd.ode.solve import Solution, solve
from neuralmd.ode.solvers import Solver
from neuralmd.system import PhaseState, Times

_ROUNDING = 1e-9
"""Part of the gap below which two query times are one: some rounding errors of float64."""


class ForwardODE(Interpolator):
    """The field, solved from the first anchor; the second is never seen.

    Args:
        field: The acceleration.
        solver: What integrates it.
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(self, field: Field, solver: Solver) -> None:
        super().__init__()
        self.field = field
        self.solver = solver

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The forward solution; see `Interpolator.forward`."""
        return _forward_path(self.field, self.solver, anchors, clean_times(times, anchors.gap))


class BackwardODE(Interpolator):
    """The field, solved backward in time from the second anchor; the first is never seen.

    Args:
        field: The acceleration.
        solver: What integrates it.
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(self, field: Field, solver: Solver) -> None:
        super().__init__()
        self.field = field
        self.solver = solver

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The backward solution, in order of increasing time; see `Interpolator.forward`."""
        return _backward_path(self.field, self.solver, anchors, clean_times(times, anchors.gap))


class BidirectionalODE(Interpolator):
    """The same field solved from both anchors, and the two solutions joined into a path that meets both.

    x_hat(t) = (1 - lambda(t)) x_fwd(t) + lambda(t) x_bwd(t)

    Args:
        field: The acceleration; one field for both directions.
        solver: What integrates it.
        blend: lambda.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020).
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(self, field: Field, solver: Solver, blend: Blend) -> None:
        super().__init__()
        self.field = field
        self.solver = solver
        self.blend = blend

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The blend and its derivative; see `Interpolator.forward`."""
        forward, backward = self.solutions(anchors, times)
        s = clean_times(times, anchors.gap) / anchors.gap
        return blend(forward, backward, self.blend.weight(s), self.blend.rate(s) / anchors.gap)

    def solutions(self, anchors: Anchors, times: Times) -> tuple[Path, Path]:
        """The forward and the backward solution at the given times, both in order of increasing time.

        Their difference is an error bar that needs no truth.

        Raises:
            DataError: If the times do not lie in [0, gap] in increasing order.
            SolverError: If the ODE cannot be solved.
        """
        exact = clean_times(times, anchors.gap)
        # With adaptive steps, each direction would depend on the other; with velocities, -v is not the way back.
        if self.solver.adaptive or self.field.depends_on_velocity:
            forward = _forward_path(self.field, self.solver, anchors, exact)
            return forward, _backward_path(self.field, self.solver, anchors, exact)
        return _both_paths(self.field, self.solver, anchors, exact)


def _forward_path(field: Field, solver: Solver, anchors: Anchors, times: Times) -> Path:
    schedule, index, _ = _schedule(times, anchors.gap)
    return _pick(field, solve(field, anchors.start, schedule, solver), index)


def _backward_path(field: Field, solver: Solver, anchors: Anchors, times: Times) -> Path:
    schedule, _, index = _schedule(times, anchors.gap)
    return _pick(field, solve(field, anchors.end, anchors.gap - schedule, solver), index)


def _both_paths(field: Field, solver: Solver, anchors: Anchors, times: Times) -> tuple[Path, Path]:
    """Both directions in one solve: where f_theta = f_theta(x), going back in time is going forward with -v."""
    schedule, ahead, back = _schedule(times, anchors.gap)
    start, end = anchors.start, anchors.end
    both = PhaseState(torch.cat((start.positions, end.positions)), torch.cat((start.velocities, end.velocities.neg())))
    solution = solve(field, both, schedule, solver)
    batch = len(start.positions)
    forward = Path(solution.positions[ahead, :batch], solution.velocities[ahead, :batch])
    return forward, Path(solution.positions[back, batch:], solution.velocities[back, batch:].neg())


def _pick(field: Field, solution: Solution, index: Int[Tensor, " query"]) -> Path:
    positions, velocities = solution.positions[index], solution.velocities[index]
    if field.learns_velocity:
        flat = PhaseState(positions.flatten(0, 1), velocities.flatten(0, 1))
        velocities = field.velocity(flat).unflatten(0, positions.shape[:2])
    return Path(positions, velocities)


def _schedule(times: Times, gap: float) -> tuple[Float[Tensor, " elapsed"], Int[Tensor, " time"], Int[Tensor, " time"]]:
    """Times elapsed from either anchor that serve both directions, and where in them each direction's queries are.

    The schedule always spans the whole gap, so that the steps of a solve, and with them its result at any time, do
    not depend on which other times are asked for.
    """
    ends = torch.tensor([0.0, gap], dtype=times.dtype, device=times.device)
    every = torch.cat((ends, times, gap - times))
    order = every.argsort(stable=True)
    ordered = every[order]
    # t and gap - t of uniform times are the same set but for rounding
    fresh = torch.cat((ordered.new_ones(1, dtype=torch.bool), ordered.diff() > _ROUNDING * gap))
    place = torch.empty_like(order)
    place[order] = fresh.long().cumsum(0) - 1
    schedule = ordered[fresh]
    schedule[-1] = gap
    return schedule, place[2 : 2 + len(times)], place[2 + len(times) :]
