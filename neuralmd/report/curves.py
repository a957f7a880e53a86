"""Learning curves of runs: what they measured while they trained, over the time that it took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neuralmd.errors import ConfigError
from neuralmd.report.style import clear, new_figure, save, styles_of
from neuralmd.report.text_table import TextTable
from neuralmd.training.history import Logged, history, lines

_UNITS: Final = {"_eV_A": " [eV/Å]", "_A": " [Å]"}
_STEPS: Final = frozenset({"step", "train/minutes"})
_MARKERS: Final = "os^Dvp*X"
_SEEN: Final = 0.01
"""Part of a value by which what is fitted at the end must change it to be drawn."""


@dataclass(frozen=True)
class Curve:
    """A metric of one run.

    Attributes:
        label: What the run is called.
        metric: The metric's name in metrics.jsonl.
        while_training: As it was logged on the way, in order.
        fitted: What it was when correction, error bars or lambda had been fitted at the end; none if nothing was.
    """

    label: str
    metric: str
    while_training: Sequence[Logged]
    fitted: Logged | None

    @property
    def last(self) -> Logged:
        """The last value."""
        return self.fitted or self.while_training[-1]


def curves(runs: Sequence[Path], metrics: Sequence[str], labels: Sequence[str] | None = None) -> list[Curve]:
    """Read the metrics of some runs, one run after the other.

    Args:
        runs: Folders of trainings, which need not have ended.
        metrics: Names of metrics.jsonl, as validation/mae_A.
        labels: What to call the runs; none for the names of their folders.

    Raises:
        ConfigError: If a run has logged no such metric, or the labels are not as many as the runs.
    """
    names = [run.name for run in runs] if labels is None else list(labels)
    if len(names) != len(runs):
        raise ConfigError(f"--labels names {len(names)} runs, but there are {len(runs)}")
    if len(set(names)) < len(names):
        raise ConfigError(
            f"{len(names)} runs have names that are alike ({', '.join(names)}): tell them apart by --labels"
        )
    return [_curve(run, name, metric) for run, name in zip(runs, names, strict=True) for metric in metrics]


def _curve(run: Path, label: str, metric: str) -> Curve:
    found = history(run, metric)
    if not found:
        known = sorted({key for line in lines(run) for key in line} - _STEPS)
        there = f"it has {', '.join(known)}" if known else "expected the folder of a training, as runs/benzene"
        raise ConfigError(f"{run}: has logged no {metric}: {there}")
    # What is fitted at the end is measured at the step of the last validation once more.
    fitted = found.pop() if len(found) > 1 and found[-1].step == found[-2].step else None
    return Curve(label, metric, found, fitted)


def metric_title(metric: str) -> str:
    """A metric with its unit, as an axis shows it: validation/best_mae_A is `validation: best MAE [Å]`."""
    part, _, name = metric.partition("/")
    ending = next((ending for ending in _UNITS if name.endswith(ending)), "")
    words = name.removesuffix(ending).replace("_", " ").replace("mae", "MAE").replace("rmse", "RMSE")
    return f"{part}: {words}{_UNITS.get(ending, '')}"


def table(found: Sequence[Curve]) -> TextTable:
    """The last value of each metric, and what it took."""
    metrics = list(dict.fromkeys(one.metric for one in found))
    rows = []
    for label in dict.fromkeys(one.label for one in found):
        own = {one.metric: one.last for one in found if one.label == label}
        longest = max(own.values(), key=lambda last: last.step)
        minutes = "" if math.isnan(longest.minutes) else f"{longest.minutes:.1f}"
        rows.append([label, minutes, str(longest.step), *(f"{own[metric].value:.3e}" for metric in metrics)])
    return TextTable("Trainings", ["run", "minutes", "steps", *map(metric_title, metrics)], rows)


def plot(found: Sequence[Curve], path: Path) -> None:
    """Draw each metric over the minutes of training, or over the steps where a run has logged no minutes.

    A line ends where the training does; a mark to the right of it is the value after what is fitted at the end.
    """
    metrics = list(dict.fromkeys(one.metric for one in found))
    timed = not any(math.isnan(one.last.minutes) for one in found)
    styles = styles_of(dict.fromkeys(one.label for one in found))
    figure = new_figure(0.6 + 5.2 * len(metrics), 4.2)
    for axis, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        clear(axis)
        for index, one in enumerate(curve for curve in found if curve.metric == metric):
            marker, colour = _MARKERS[index % len(_MARKERS)], styles[one.label].colour
            x = [each.minutes if timed else each.step for each in one.while_training]
            y = [each.value for each in one.while_training]
            axis.plot(x, y, color=colour, lw=1.3, marker=marker, ms=5, markevery=[-1], label=styles[one.label].label)
            if one.fitted is not None and abs(one.fitted.value - y[-1]) > _SEEN * abs(y[-1]):
                end = one.fitted.minutes if timed else one.fitted.step
                axis.plot([x[-1], end], [y[-1], one.fitted.value], color=colour, lw=0.8, ls=":")
                axis.plot(end, one.fitted.value, color=colour, marker=marker, ms=5, mfc="white")
        if all(each.value > 0 for one in found if one.metric == metric for each in one.while_training):
            axis.set_yscale("log")
        axis.set_xlabel("training [min]" if timed else "steps")
        axis.set_ylabel(metric_title(metric))
    figure.axes[0].legend(frameon=False, fontsize=8)
    save(figure, path)
