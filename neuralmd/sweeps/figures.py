"""The figures of a sweep beside its parallel coordinates: learning curves, and the importance of the settings."""

from __future__ import annotations

import math
from pathlib import Path

from neuralmd.config.selection import CONFIG_KEY
from neuralmd.report.curves import metric_title
from neuralmd.report.style import clear, new_figure, save, styles_of
from neuralmd.sweeps.results import Results, shown
from neuralmd.training.history import history

_BEST = "#cc3311"


def plot_learning_curves(results: Results, path: Path) -> None:
    """The metric of every trial over the minutes of its training, or over its steps where no minutes were logged."""
    metric = results.sweep.metric.name
    curves = {one.name: history(results.folder / one.name, metric) for one in results.ranked}
    timed = not any(math.isnan(one.minutes) for curve in curves.values() for one in curve)
    figure = new_figure(7.4, 4.4)
    axis = figure.subplots()
    clear(axis)
    names = {record.name: shown(record.values.get(CONFIG_KEY, "trials")) for record in results.ranked}
    styles = styles_of(dict.fromkeys(names.values()))
    for record in reversed(results.ranked):
        curve, is_best = curves[record.name], record is results.best
        axis.plot(
            [one.minutes if timed else one.step for one in curve],
            [one.value for one in curve],
            color=styles[names[record.name]].colour,
            lw=2.2 if is_best else 1.0,
            alpha=1.0 if is_best else 0.6,
            marker="x" if record.state == "pruned" else "." if len(curve) == 1 else "",
            markevery=[-1] if curve else None,
        )
    if len(styles) > 1:
        for name, style in styles.items():
            axis.plot([], [], color=style.colour, label=name)
    best = curves[results.best.name][-1]
    axis.plot(
        best.minutes if timed else best.step, best.value, "o", color=_BEST, ms=6, label=f"best: {results.best.name}"
    )
    if all(one.value > 0 for curve in curves.values() for one in curve):
        axis.set_yscale("log")
    axis.set_xlabel("training [min]" if timed else "steps")
    axis.set_ylabel(metric_title(metric))
    axis.legend(frameon=False, fontsize=8, loc="upper right")
    save(figure, path)


def plot_importance(results: Results, importance: dict[str, float], path: Path) -> None:
    """The share of each setting in what made the better trials better."""
    titles = {one.key: one.title.replace("_", " ") for one in results.settings}
    names = [titles[key] for key in importance]
    figure = new_figure(6.4, 0.32 * len(names) + 1.2)
    axis = figure.subplots()
    clear(axis)
    bars = axis.barh(range(len(names)), list(importance.values()), color="#004488", height=0.65)
    axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=3)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel("share of importance (PED-ANOVA)")
    axis.margins(x=0.12)
    save(figure, path)
