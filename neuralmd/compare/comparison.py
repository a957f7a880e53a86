"""`compare`: train what is not trained, score everything on the same windows, and keep what failed in its row."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import torch

from neuralmd.compare.contest import Contestant, Member, train_member
from neuralmd.compare.scores import Reference, Score, score
from neuralmd.errors import ConfigError, NeuralMDError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.methods import directions, splines
from neuralmd.report.evaluation import Assessment
from neuralmd.report.families import FAMILIES, family_of
from neuralmd.runs import TrainedRun, experiment_of, load_run
from neuralmd.training.tracking import SUMMARY_FILE

SPLINE: Final = "spline"
"""What a spline has in place of a contestant's label."""


@dataclass
class Row:
    """One method: a spline, or one direction of a contestant.

    Attributes:
        label: The contestant, or `spline`.
        method: The method's name.
        family: Of the model; see `neuralmd.report.families`.
        scores: By stride, then by seed.
        parameters: Number of trained numbers.
        training_minutes: By seed [min].
        error: Why the row is incomplete, if it is.
    """

    label: str
    method: str
    family: str
    scores: dict[int, dict[int, Score]] = field(default_factory=dict)
    parameters: int = 0
    training_minutes: dict[int, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def is_spline(self) -> bool:
        """Whether it is a spline, and no contestant's."""
        return self.label == SPLINE

    @property
    def name(self) -> str:
        """What tables call a spline or a contestant."""
        return FAMILIES[self.family].label if self.is_spline else self.label

    def mean(self, stride: int, quantity: str) -> float:
        """The mean of a quantity over seeds; not a number without any."""
        return mean_and_spread(self.values(stride, quantity))[0]

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
        trained_stride: The stride that the first contestant was trained on, or else the longest that is scored.
        notes: What else to know, a sentence each.
    """

    source: str
    windows: dict[int, int]
    gaps: dict[int, float]
    velocity_source: str
    rows: tuple[Row, ...]
    trained_stride: int
    notes: tuple[str, ...] = ()

    @property
    def strides(self) -> list[int]:
        """The strides, ascending."""
        return sorted(self.windows)

    @property
    def splines(self) -> list[Row]:
        """The splines."""
        return [row for row in self.rows if row.is_spline]

    @property
    def finals(self) -> list[Row]:
        """The final method of every contestant that was scored: both directions, where it has them."""
        return list({row.label: row for row in self.rows if row.scores and not row.is_spline}.values())

    @property
    def best_spline(self) -> Row | None:
        """The spline of least error, in the geometric mean over the strides."""
        whole = [row for row in self.splines if len(row.scores) == len(self.windows)]
        return min(whole, key=lambda row: sum(math.log(row.mean(stride, "mae")) for stride in row.scores), default=None)

    @property
    def shown(self) -> list[Row]:
        """What figures show: the best spline, and the final method of every contestant, in the order of entry."""
        best = self.best_spline
        return [*([] if best is None else [best]), *self.finals]


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
            for row in own.values() or [own.setdefault("failed", Row(contestant.label, "failed", "failed"))]:
                row.error = str(error)
        rows += own.values()
    if not windows:
        raise failure or NeuralMDError("nothing was compared")
    first = windows[min(windows)]
    every = (*_spline_rows(windows, reference), *rows)
    return Comparison(
        source=first.source,
        windows={stride: len(one.starts) for stride, one in windows.items()},
        gaps={stride: stride * one.frames.timestep for stride, one in windows.items()},
        velocity_source=str(first.velocity_source),
        rows=every,
        trained_stride=_trained_stride(contestants, windows),
        notes=() if reference is None else tuple(_without_energy(every)),
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
            row = rows.setdefault(name, Row(contestant.label, name, family_of(trained.config)))
            row.parameters = sum(parameter.numel() for parameter in trained.model.parameters())
            row.training_minutes[member.seed] = _minutes(trained)
            row.scores.setdefault(stride, {})[member.seed] = score(method, assessment.windows, reference)


def _spline_rows(windows: dict[int, Windows], reference: Reference | None) -> list[Row]:
    rows = []
    for name, method in splines().items():
        row = Row(SPLINE, name, name)
        for stride, one in windows.items():
            if one.frames.accelerations is not None or not method.needs_forces:
                row.scores[stride] = {0: score(method, one, reference)}
        if row.scores:
            rows.append(row)
    return rows


def _without_energy(rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for every method that rebuilt a frame too far from a molecule for the engine."""
    for row in rows:
        failed = [stride for stride, one in row.scores.items() if len(row.values(stride, "energy_error")) < len(one)]
        if failed:
            strides = ", ".join(str(stride) for stride in sorted(failed))
            yield (
                f"{row.label} ({row.method}) at stride {strides}: the engine that made the data finds no energy for "
                "frames that it rebuilt, so that no energy error is given for them"
            )


def _trained_stride(contestants: Sequence[Contestant], windows: Mapping[int, Windows]) -> int:
    member = contestants[0].members[0]
    stride = (member.experiment or experiment_of(member.folder)).data.stride
    return stride if stride in windows else max(windows)


def _minutes(trained: TrainedRun) -> float:
    path = trained.folder / SUMMARY_FILE
    return float(json.loads(path.read_text(encoding="utf-8"))["train/minutes"]) if path.is_file() else math.nan
