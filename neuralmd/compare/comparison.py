"""`compare`: train what is not trained, score everything on the same windows, and keep what failed in its row."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import torch

from neuralmd.compare.contest import Contestant, Member, train_member
from neuralmd.compare.scores import Reference, Score, score
from neuralmd.errors import ConfigError, NeuralMDError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.methods import directions, splines
from neuralmd.interpolators.base import Interpolator
from neuralmd.report.evaluation import Assessment
from neuralmd.runs import TrainedRun, load_run
from neuralmd.training.tracking import SUMMARY_FILE


@dataclass
class Row:
    """One method: a spline, or one direction of a contestant.

    Attributes:
        label: The contestant, or `spline`.
        method: The method's name.
        scores: By stride, then by seed.
        parameters: Number of trained numbers.
        training_minutes: By seed [min].
        error: Why the row is incomplete, if it is.
    """

    label: str
    method: str
    scores: dict[int, dict[int, Score]] = field(default_factory=dict)
    parameters: int = 0
    training_minutes: dict[int, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.method if self.label == "spline" else f"{self.label}: {self.method}"

    def values(self, stride: int, quantity: str) -> list[float]:
        """A quantity of the score for every seed that has it."""
        found = (asdict(one)[quantity] for one in self.scores.get(stride, {}).values())
        return [float(value) for value in found if value is not None]


@dataclass(frozen=True)
class Comparison:
    """Several methods on the same windows.

    Attributes:
        source: What they were scored on, in words.
        windows: Number of windows by stride.
        gaps: Time from anchor to anchor by stride [fs].
        velocity_source: Where the anchors' velocities come from.
        rows: The methods.
    """

    source: str
    windows: dict[int, int]
    gaps: dict[int, float]
    velocity_source: str
    rows: tuple[Row, ...]

    @property
    def strides(self) -> list[int]:
        """The strides, ascending."""
        return sorted(self.windows)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; no deviation from fewer than two values, no mean from none."""
    if not values:
        return math.nan, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def compare(
    contestants: Sequence[Contestant],
    strides: Sequence[int],
    reference: Reference | None,
    watch: Callable[[str], Callable[[int], None]],
) -> Comparison:
    """Train and score all contestants, and the splines beside them.

    Args:
        contestants: What competes. A contestant that fails is told of in its row.
        strides: Frames from anchor to anchor, each scored.
        reference: The engine for energies; none to leave them out.
        watch: Given the name of a training, returns what is called with the thousandths of its budget spent.

    Raises:
        NeuralMDError: If nothing could be scored at all: the first contestant's reason.
    """
    windows: dict[int, Windows] = {}
    rows: list[Row] = []
    failure: NeuralMDError | None = None
    for contestant in contestants:
        own: dict[str, Row] = {}
        try:
            for member in contestant.members:
                train_member(member, watch(member.folder.name))
                _score_member(contestant, member, strides, reference, own, windows)
        except NeuralMDError as error:
            failure = failure or error
            for row in own.values() or [own.setdefault("failed", Row(contestant.label, "failed"))]:
                row.error = str(error)
        rows += own.values()
    if not windows:
        raise failure or NeuralMDError("nothing was compared")
    first = windows[min(windows)]
    return Comparison(
        source=first.source,
        windows={stride: len(one.starts) for stride, one in windows.items()},
        gaps={stride: stride * one.frames.timestep for stride, one in windows.items()},
        velocity_source=str(first.velocity_source),
        rows=(*_spline_rows(windows, reference), *rows),
    )


def _score_member(
    contestant: Contestant,
    member: Member,
    strides: Sequence[int],
    reference: Reference | None,
    rows: dict[str, Row],
    windows: dict[int, Windows],
) -> None:
    trained = load_run(member.folder)
    for stride in strides:
        assessment = Assessment.of(member.folder, None, stride)
        common = windows.setdefault(stride, assessment.windows)
        if not torch.equal(common.starts, assessment.windows.starts):
            raise ConfigError(
                f"{member.folder}: is scored on other windows of stride {stride} than the rest, since it reads "
                f"{trained.model.boundary_frames} frames at each anchor; compare methods that read the same"
            )
        for name, method in directions(trained.model).items():
            row = rows.setdefault(name, Row(contestant.label, name))
            row.parameters = sum(parameter.numel() for parameter in trained.model.parameters())
            row.training_minutes[member.seed] = _minutes(trained)
            row.scores.setdefault(stride, {})[member.seed] = score(method, assessment.windows, reference)


def _spline_rows(windows: dict[int, Windows], reference: Reference | None) -> list[Row]:
    rows = []
    for name, method in splines().items():
        row = Row("spline", name)
        for stride, one in windows.items():
            if one.frames.accelerations is not None or not method.needs_forces:
                row.scores[stride] = {0: score(method, one, reference)}
        if row.scores:
            rows.append(row)
    return rows


def _minutes(trained: TrainedRun) -> float:
    path = trained.folder / SUMMARY_FILE
    return float(json.loads(path.read_text(encoding="utf-8"))["train/minutes"]) if path.is_file() else math.nan


def shown_methods(contestants: Sequence[Contestant]) -> dict[str, Interpolator]:
    """The final method of every contestant's first member that is trained, for figures of paths."""
    found: dict[str, Interpolator] = {}
    for contestant in contestants:
        try:
            model = load_run(contestant.members[0].folder).model
        except NeuralMDError:
            continue
        found[contestant.label] = model
    return found
