"""`BidirectionalODE`: the neural ODE as an interpolator, from both anchors and blended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from typing_extensions import override

from neuralmd.data.anchors import Anchors
from neuralmd.fields.base import Field
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.interpolators.base import Interpolator, Path, clean_times
from neuralmd.interpolators.blending import Blend, blend
from neuralmd.interpolators.both_ways import (
    Asked,
    Impulses,
    Parts,
    Plan,
    backward_path,
    both_paths,
    forward_path,
    span_of,
)
from neuralmd.interpolators.bridge import Bridged, ThermostatBridge
from neuralmd.interpolators.error_bars import ErrorBars, Guesses
from neuralmd.interpolators.kicked import kicked_paths
from neuralmd.interpolators.mismatch import PROBES, Correction, Solutions
from neuralmd.ode.solvers import Solver
from neuralmd.system import Curves, PhaseState, Times

_PROBES = torch.tensor(PROBES, dtype=torch.float64)
_NONE = torch.zeros(0, dtype=torch.float64)


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
        bridge: What moves the two solutions before they are joined; none for the solutions as they are, which is also
            what gaps get that it was not fitted for.
        inferred_error_bars: Error bars that hold where the velocities of the anchors are inferred.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020).
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(
        self,
        field: Field,
        solver: Solver,
        blend: Blend,
        correction: Correction | None = None,
        error_bars: ErrorBars | None = None,
        bridge: ThermostatBridge | None = None,
        inferred_error_bars: ErrorBars | None = None,
    ) -> None:
        super().__init__()
        self.field = field
        self.solver = solver
        self.blend = blend
        self.correction = correction
        self.error_bars = error_bars
        self.bridge = bridge
        self.inferred_error_bars = inferred_error_bars

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The blend and its derivative; see `Interpolator.forward`."""
        uncorrected = self.uncorrected(anchors, times)
        path, bars, gap = self.corrected(uncorrected), self._bars_of(anchors.gap), anchors.gap
        if bars is None:
            return path
        s, guesses = uncorrected.both.s.to(path.positions), self.guesses(uncorrected)
        return replace(path, error_bars=bars(gap, s, guesses), frame_error_bars=bars.of_frames(gap, s, guesses))

    def uncorrected(self, anchors: Anchors, times: Times, reach: float = 0.0) -> Uncorrected:
        """The path without the correction, and both solutions at its probes, if it has been made for such gaps.

        Args:
            anchors: The anchors.
            times: Query times [fs].
            reach: Part of the gap that each solution is wanted for, beyond what the path needs.

        Raises:
            DataError: If the times do not lie in [0, gap] in increasing order.
            SolverError: If an ODE cannot be solved.
        """
        gap = anchors.gap
        bridge = None if self.bridge is None or self.bridge.fitted(gap) is None else self.bridge
        wanted = self.correction is not None and self.correction.fitted(gap) is not None
        # Without a bridge, bars want the disagreement everywhere; else solutions go only where the blend reads them.
        everywhere = wanted or (bridge is None and self._bars_of(gap) is not None)
        reach = 1.0 if everywhere else max(reach, self.blend.reach)
        probes = _NONE if bridge is None else bridge.probes(gap)
        both, probed = self.probed_solutions(anchors, times, (probes, _PROBES if wanted else _NONE), reach)
        bridged = None if bridge is None else self._bridged(anchors, times, bridge, both, reach)
        ends = both if bridged is None else bridged
        path = self.joined(ends.forward, ends.backward, both.s, gap)
        if bridged is not None:
            path = replace(path, friction=bridged.friction)
        return Uncorrected(anchors, path, both, bridged, probed if wanted else None)

    def corrected(self, uncorrected: Uncorrected) -> Path:
        """The path with the correction, if there is one for such gaps."""
        path = uncorrected.path
        if uncorrected.for_correction is None or self.correction is None:
            return path
        extra = self.correction(uncorrected.for_correction, self.accelerations(uncorrected.both))
        return replace(path, positions=path.positions + extra.positions, velocities=path.velocities + extra.velocities)

    def guesses(self, uncorrected: Uncorrected) -> Guesses:
        """Squared errors of the atoms as far as the solutions tell of them; see `ErrorBars`."""
        both, bridge, bridged = uncorrected.both, self.bridge, uncorrected.bridged
        if bridged is None or bridge is None:
            told = Guesses.without_levels((both.backward.positions - both.forward.positions).square().mean(-1))
        else:
            variances = bridge.variances(bridged, both.s * both.gap, self.blend.weight(both.s))
            told = Guesses(variances, bridge.level(bridged))
        if isinstance(self.field, EnsembleField):
            ends = uncorrected.anchors.start, uncorrected.anchors.end
            told = replace(told, levels=torch.stack([self.field.disagreement(end) for end in ends]).mean(0))
        return told

    def accelerations(self, both: Solutions) -> tuple[Curves, Curves]:
        """dv/dt along both solutions: the solver's, or else by one more evaluation of the field at each time."""
        return _accelerations(self.field, both.forward), _accelerations(self.field, both.backward)

    def _bridged(
        self, anchors: Anchors, times: Times, bridge: ThermostatBridge, both: Solutions, reach: float
    ) -> Bridged:
        gap = anchors.gap
        probes = bridge.probes(gap)
        weight = self.blend.weight(probes)
        moved = bridge(both, weight, bridge.noise(gap, 0))
        for round_ in range(1, bridge.rounds + 1):
            again = self.kicked_solutions(anchors, times, probes, bridge.impulses(moved), reach)
            moved = bridge(again, weight, bridge.noise(gap, round_), moved.kicks)
        return moved

    def _bars_of(self, gap: float) -> ErrorBars | None:
        bars = self.error_bars
        return None if bars is None or bars.known(gap) is None else bars

    @override
    def remark(self, gap: float) -> str | None:
        remarks = self.blend.remarks(gap)
        if self.correction is not None and self.correction.fitted(gap) is None:
            known = (
                ", ".join(f"{fitted:.4g}" for fitted in self.correction.gaps[self.correction.ready].tolist()) or "no"
            )
            remarks.append(
                f"the correction was fitted for gaps of {known} fs; these of {gap:.4g} fs get the blend alone"
            )
        if self.bridge is not None and self.bridge.fitted(gap) is None:
            known = ", ".join(f"{fitted:.4g}" for fitted in self.bridge.gaps[self.bridge.ready].tolist()) or "no"
            remarks.append(f"the bridge serves gaps of {known} fs; these of {gap:.4g} fs get the blend alone")
        if self.error_bars is not None and self._bars_of(gap) is None:
            remarks.append(
                f"there are no error bars for gaps of {gap:.4g} fs: list their stride in model.error_bars, and have at "
                f"least {self.error_bars.fewest_windows} windows of it in the validation part"
            )
        return "; ".join(remarks) or None

    @override
    def error_bar_level(self, gap: float) -> float | None:
        bars = self._bars_of(gap)
        return None if bars is None else bars.level

    @override
    def for_inferred_velocities(self) -> BidirectionalODE:
        if self.error_bars is None and self.inferred_error_bars is None:
            return self
        bars = self.inferred_error_bars
        same = BidirectionalODE(self.field, self.solver, self.blend, self.correction, bars, self.bridge)
        same.at_once = self.at_once
        return same.train(self.training)

    @override
    def __repr__(self) -> str:
        fitted = {"bridge": self.bridge, "correction": self.correction, "error bars": self.error_bars}
        more = "".join(f", {name}" for name, part in fitted.items() if part is not None)
        return f"BidirectionalODE({self.field}, solver={self.solver}, blend={self.blend}{more})"

    def joined(self, forward: Path, backward: Path, s: Times, gap: float) -> Path:
        """The blend of two solutions, which the model's own need not be, at parts s of the gap."""
        return blend(forward, backward, *self.blend.of_atoms(s, gap))

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
        plan = Plan.of(times, anchors.gap, span)
        # With adaptive steps, each direction would depend on the other; with velocities, -v is not the way back.
        if self.solver.adaptive or self.field.depends_on_velocity:
            forward = forward_path(self.field, self.solver, anchors, plan)
            return forward, backward_path(self.field, self.solver, anchors, plan)
        return both_paths(self.field, self.solver, anchors, plan)

    def probed_solutions(
        self, anchors: Anchors, times: Times, probes: Sequence[Parts] = (_PROBES,), reach: float = 1.0
    ) -> list[Solutions]:
        """Both solutions at the given times and at each of the sets of probes, all from one solve.

        Args:
            anchors: The anchors.
            times: Query times [fs].
            probes: Sets of times, as parts of the gap.
            reach: Part of the gap that each solution is wanted for.
        """
        gap = anchors.gap
        asked = Asked.of(clean_times(times.cpu(), gap), probes, gap)
        forward, backward = self._solve(anchors, asked.distinct, span_of(self.solver, gap, reach))
        return asked.solutions(forward, backward)

    def kicked_solutions(
        self, anchors: Anchors, times: Times, probes: Parts, impulses: Impulses, reach: float = 1.0
    ) -> Solutions:
        """Both solutions with changes of velocity at evenly spaced times on the way; see `kicked_paths`.

        Raises:
            SolverError: If the solver cannot stop at these times, or the ODE cannot be solved.
        """
        gap = anchors.gap
        asked = Asked.of(clean_times(times.cpu(), gap), (probes,), gap)
        plan = Plan.of(asked.distinct, gap, span_of(self.solver, gap, reach))
        return asked.solutions(*kicked_paths(self.field, self.solver, anchors, plan, impulses))[0]


@dataclass(frozen=True, eq=False)
class Uncorrected:
    """A path before the correction.

    Attributes:
        anchors: What it goes through.
        path: The path.
        both: The two solutions, at its times and at the bridge's probes, if there is one.
        bridged: Both after the bridge's kicks, of which the path is made; none without a bridge for such gaps.
        for_correction: The same at the correction's probes; none if there is none for such gaps.
    """

    anchors: Anchors
    path: Path
    both: Solutions
    bridged: Bridged | None
    for_correction: Solutions | None


def _accelerations(field: Field, path: Path) -> Curves:
    if path.accelerations is not None:
        return path.accelerations
    states = PhaseState(path.positions.flatten(0, 1), path.velocities.flatten(0, 1))
    return field(states).reshape(path.positions.shape)
