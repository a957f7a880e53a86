"""The neural ODE as an interpolator: forward from the first anchor, backward from the second, or both, blended."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
from neuralmd.interpolators.error_bars import ErrorBars
from neuralmd.ode.grid import count_steps
from neuralmd.ode.solve import Solution, solve
from neuralmd.ode.solvers import Dopri5, Solver
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
        plan = _Plan.of(clean_times(times.cpu(), anchors.gap), anchors.gap, anchors.gap)
        return _forward_path(self.field, self.solver, anchors, plan)


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
        plan = _Plan.of(clean_times(times.cpu(), anchors.gap), anchors.gap, anchors.gap)
        return _backward_path(self.field, self.solver, anchors, plan)


class BidirectionalODE(Interpolator):
    """The same field solved from both anchors, and the two solutions joined into a path that meets both.

    x_hat(t) = (1 - lambda(t)) x_fwd(t) + lambda(t) x_bwd(t)

    Args:
        field: The acceleration; one field for both directions.
        solver: What integrates it.
        blend: lambda.
        correction: What else the mismatch of the solutions tells; none for the blend alone, which is also what gaps
            get that it was not fitted for.
        error_bars: How far the path may be from the truth; none for no error bars, which is also what gaps get that
            they were not calibrated for.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020).
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(
        self,
        field: Field,
        solver: Solver,
        blend: Blend,
        correction: MismatchCorrection | None = None,
        error_bars: ErrorBars | None = None,
    ) -> None:
        super().__init__()
        self.field = field
        self.solver = solver
        self.blend = blend
        self.correction = correction
        self.error_bars = error_bars

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The blend and its derivative; see `Interpolator.forward`."""
        if self.correction is None or self.correction.fitted(anchors.gap) is None:
            exact = clean_times(times.cpu(), anchors.gap)
            # The disagreement is wanted everywhere, the solutions themselves only as far as the blend reads them.
            reach = self.blend.reach if self._bars_of(anchors.gap) is None else 1.0
            both = self._solve(anchors, exact, _span(self.solver, anchors.gap, reach))
            return self._with_bars(self._join(*both, times, anchors.gap), both, exact / anchors.gap, anchors.gap)
        both = self.probed_solutions(anchors, times)
        path = self._join(both.forward, both.backward, times, anchors.gap)
        extra = self.correction(both, tuple(_accelerations(self.field, one) for one in (both.forward, both.backward)))
        corrected = Path(path.positions + extra.positions, path.velocities + extra.velocities)
        return self._with_bars(corrected, (both.forward, both.backward), both.s, anchors.gap)

    def _bars_of(self, gap: float) -> ErrorBars | None:
        bars = self.error_bars
        return None if bars is None or bars.known(gap) is None else bars

    def _with_bars(self, path: Path, both: tuple[Path, Path], s: Times, gap: float) -> Path:
        bars = self._bars_of(gap)
        if bars is None:
            return path
        apart = both[1].positions - both[0].positions
        return replace(path, error_bars=bars(gap, s.to(apart), apart))

    @override
    def remark(self, gap: float) -> str | None:
        remarks = []
        if self.correction is not None and self.correction.fitted(gap) is None:
            known = ", ".join(f"{fitted:.4g}" for fitted in self.correction.gaps.tolist())
            remarks.append(
                f"the correction was fitted for gaps of {known} fs; these of {gap:.4g} fs get the blend alone"
            )
        if self.error_bars is not None and self._bars_of(gap) is None:
            remarks.append(
                f"there are no error bars for gaps of {gap:.4g} fs: list their stride in model.error_bars, and have at "
                f"least {self.error_bars.fewest_windows} windows of it in the validation part"
            )
        return "; ".join(remarks) or None

    @override
    def extra_repr(self) -> str:
        return f"solver={self.solver}, blend={self.blend}"

    def _join(self, forward: Path, backward: Path, times: Times, gap: float) -> Path:
        s = clean_times(times.cpu(), gap) / gap
        return blend(forward, backward, self.blend.weight(s), self.blend.rate(s) / gap)

    def solutions(self, anchors: Anchors, times: Times) -> tuple[Path, Path]:
        """The forward and the backward solution at the given times, both in order of increasing time.

        Their difference is an error bar that needs no truth.

        Raises:
            DataError: If the times do not lie in [0, gap] in increasing order.
            SolverError: If the ODE cannot be solved.
        """
        return self._solve(anchors, clean_times(times.cpu(), anchors.gap), anchors.gap)

    def _solve(self, anchors: Anchors, times: Times, span: float) -> tuple[Path, Path]:
        """Both solutions; each beyond its span of time from its anchor [fs] is held at what it is there."""
        plan = _Plan.of(times, anchors.gap, span)
        # With adaptive steps, each direction would depend on the other; with velocities, -v is not the way back.
        if self.solver.adaptive or self.field.depends_on_velocity:
            forward = _forward_path(self.field, self.solver, anchors, plan)
            return forward, _backward_path(self.field, self.solver, anchors, plan)
        return _both_paths(self.field, self.solver, anchors, plan)

    def probed_solutions(self, anchors: Anchors, times: Times) -> Solutions:
        """Both solutions at the given times and at the probes of a correction, from one solve."""
        exact, gap = clean_times(times.cpu(), anchors.gap), anchors.gap
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
    """dv/dt along a solution: the solver's, or else by one more evaluation of the field at each time."""
    if path.accelerations is not None:
        return path.accelerations
    states = PhaseState(path.positions.flatten(0, 1), path.velocities.flatten(0, 1))
    return field(states).reshape(path.positions.shape)


def _at(path: Path, index: Int[Tensor, " query"]) -> Path:
    accelerations = None if path.accelerations is None else path.accelerations[index]
    return Path(path.positions[index], path.velocities[index], accelerations)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Times elapsed from either anchor that serve both directions, and where in them each direction's queries are.

    The schedule always spans the whole gap, or the same part of it, so that the steps of a solve, and with them its
    result at any time, do not depend on which other times are asked for.
    """

    schedule: Float[Tensor, " elapsed"]
    ahead: Int[Tensor, " time"]
    back: Int[Tensor, " time"]

    @staticmethod
    def of(times: Times, gap: float, span: float) -> _Plan:
        """The plan for the given times, of which each direction reaches those within its span [fs]."""
        ends = torch.tensor([0.0, span], dtype=times.dtype, device=times.device)
        elapsed = torch.cat((ends, times.clamp(max=span), (gap - times).clamp(max=span)))
        schedule, place = _distinct(elapsed, gap)
        schedule[-1] = span
        return _Plan(schedule, place[2 : 2 + len(times)], place[2 + len(times) :])


def _span(solver: Solver, gap: float, reach: float) -> float:
    """The time that covers a part of the gap in steps of the length that the whole gap would have [fs]."""
    if isinstance(solver, Dopri5):
        return reach * gap
    steps = count_steps(gap, solver.step)
    return gap * min(math.ceil(steps * reach - _ROUNDING), steps) / steps


def _forward_path(field: Field, solver: Solver, anchors: Anchors, plan: _Plan) -> Path:
    return _pick(field, solve(field, anchors.start, plan.schedule, solver), plan.ahead)


def _backward_path(field: Field, solver: Solver, anchors: Anchors, plan: _Plan) -> Path:
    return _pick(field, solve(field, anchors.end, anchors.gap - plan.schedule, solver), plan.back)


def _both_paths(field: Field, solver: Solver, anchors: Anchors, plan: _Plan) -> tuple[Path, Path]:
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
    path = _at(Path(solution.positions, solution.velocities, solution.accelerations), index)
    if not field.learns_velocity:
        return path
    flat = PhaseState(path.positions.flatten(0, 1), path.velocities.flatten(0, 1))
    return Path(path.positions, field.velocity(flat).unflatten(0, path.positions.shape[:2]))


def _distinct(every: Float[Tensor, " query"], gap: float) -> tuple[Float[Tensor, " distinct"], Int[Tensor, " query"]]:
    """The times in order, each once, and where in them each of the given ones is."""
    order = every.argsort(stable=True)
    ordered = every[order]
    # t and gap - t of uniform times are the same set but for rounding
    fresh = torch.cat((ordered.new_ones(1, dtype=torch.bool), ordered.diff() > _ROUNDING * gap))
    place = torch.empty_like(order)
    place[order] = fresh.long().cumsum(0) - 1
    return ordered[fresh], place
