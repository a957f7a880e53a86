"""The neural ODE as an interpolator: forward from the first anchor, backward from the second, or both, blended."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from neuralmd.data.anchors import Anchors
from neuralmd.data.windows import Frames, Part, cut
from neuralmd.errors import DataError
from neuralmd.fields.base import Field
from neuralmd.interpolators.base import Interpolator, Path, clean_times
from neuralmd.interpolators.blending import Blend, blend
from neuralmd.interpolators.correction import PROBES, MismatchCorrection, NormalEquations, Solutions
from neuralmd.ode.solve import Solution, solve
from neuralmd.ode.solvers import Solver
from neuralmd.system import Curves, PhaseState, Times

_FITTED_WINDOWS = 1024
_WINDOWS_AT_ONCE = 64
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
        correction: What else the mismatch of the solutions tells; none for the blend alone, which is also what gaps
            get that it was not fitted for.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020).
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(
        self, field: Field, solver: Solver, blend: Blend, correction: MismatchCorrection | None = None
    ) -> None:
        super().__init__()
        self.field = field
        self.solver = solver
        self.blend = blend
        self.correction = correction

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The blend and its derivative; see `Interpolator.forward`."""
        if self.correction is None or self.correction.fitted(anchors.gap) is None:
            return self._join(*self.solutions(anchors, times), times, anchors.gap)
        both = self.probed_solutions(anchors, times)
        path = self._join(both.forward, both.backward, times, anchors.gap)
        extra = self.correction(both, tuple(_accelerations(self.field, one) for one in (both.forward, both.backward)))
        return Path(path.positions + extra.positions, path.velocities + extra.velocities)

    @override
    def remark(self, gap: float) -> str | None:
        if self.correction is None or self.correction.fitted(gap) is not None:
            return None
        known = ", ".join(f"{fitted:.4g}" for fitted in self.correction.gaps.tolist())
        return f"the correction was fitted for gaps of {known} fs; these of {gap:.4g} fs get the blend alone"

    def _join(self, forward: Path, backward: Path, times: Times, gap: float) -> Path:
        s = clean_times(times, gap) / gap
        return blend(forward, backward, self.blend.weight(s), self.blend.rate(s) / gap)

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

    def probed_solutions(self, anchors: Anchors, times: Times) -> Solutions:
        """Both solutions at the given times and at the probes of a correction, from one solve."""
        exact, gap = clean_times(times, anchors.gap), anchors.gap
        probes = gap * torch.tensor(PROBES, dtype=exact.dtype, device=exact.device)
        distinct, place = _distinct(torch.cat((exact, probes)), gap)
        forward, backward = self.solutions(anchors, distinct)
        asked, probed = place[: len(exact)], place[len(exact) :]
        return Solutions(
            gap, exact / gap, _at(forward, asked), _at(backward, asked), _at(forward, probed), _at(backward, probed)
        )


@torch.no_grad()
def fit_correction(model: BidirectionalODE, frames: Frames, part: Part) -> None:
    """Fit the correction of a model, if it has one, to windows of the training part, by least squares.

    Raises:
        DataError: If the part has no window of a gap that is to be fitted.
        SolverError: If an ODE cannot be solved.
    """
    if model.correction is None:
        return
    dtype = model.correction.coefficients.dtype
    for index, gap in enumerate(model.correction.gaps.tolist()):
        stride = round(gap / frames.timestep)
        starts = part.starts(stride)
        if len(starts) == 0:
            raise DataError(f"the training part has no window of stride {stride} to fit the correction to")
        chosen = starts[torch.linspace(0, len(starts) - 1, min(len(starts), _FITTED_WINDOWS)).long()]
        equations = NormalEquations(model.correction, index)
        for some in chosen.split(_WINDOWS_AT_ONCE):
            window = cut(frames, some, stride, dtype)
            both = model.probed_solutions(window.anchors, window.times)
            s = both.s
            path = blend(both.forward, both.backward, model.blend.weight(s), model.blend.rate(s) / both.gap)
            equations.add(both, window.hidden - path.positions)
        equations.solve()


def _accelerations(field: Field, path: Path) -> Curves:
    """dv/dt along a solution, for one more evaluation of the field at each time."""
    states = PhaseState(path.positions.flatten(0, 1), path.velocities.flatten(0, 1))
    return field(states).reshape(path.positions.shape)


def _at(path: Path, index: Int[Tensor, " query"]) -> Path:
    return Path(path.positions[index], path.velocities[index])


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
    schedule, place = _distinct(torch.cat((ends, times, gap - times)), gap)
    schedule[-1] = gap
    return schedule, place[2 : 2 + len(times)], place[2 + len(times) :]


def _distinct(every: Float[Tensor, " query"], gap: float) -> tuple[Float[Tensor, " distinct"], Int[Tensor, " query"]]:
    """The times in order, each once, and where in them each of the given ones is."""
    order = every.argsort(stable=True)
    ordered = every[order]
    # t and gap - t of uniform times are the same set but for rounding
    fresh = torch.cat((ordered.new_ones(1, dtype=torch.bool), ordered.diff() > _ROUNDING * gap))
    place = torch.empty_like(order)
    place[order] = fresh.long().cumsum(0) - 1
    return ordered[fresh], place
