"""Figures of a trained run: paths through a few gaps, and the error over the position in the gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from neuralmd.evaluation.evaluate import Evaluation, Windows
from neuralmd.evaluation.methods import splines
from neuralmd.evaluation.rebuild import rebuilt_trajectory, true_trajectory
from neuralmd.interpolators.base import Interpolator
from neuralmd.report.style import draw, save, stacked, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_GAPS = 4

_REFERENCE = "cubic_hermite"
_AXIS_NAMES = "xyz"


def plot_paths(methods: Mapping[str, Interpolator], windows: Windows, path: Path) -> None:
    """Three coordinates through several gaps, as truth, anchors and methods have them, and each method's error below.

    The coordinates are those of three different atoms that the cubic Hermite spline misses most.

    Args:
        methods: Interpolators by name; of the splines, the figure shows the cubic Hermite one.
        windows: The windows of an evaluation; the first few that follow each other are shown.
        path: The PNG to write.
    """
    shown = {name: method for name, method in methods.items() if name == _REFERENCE or name not in splines()}
    series = _series(shown, windows)
    chosen = _most_missed(series)
    figure, axes = stacked(len(chosen) + 1, width=9.0, row_height=1.75)
    for axis, (atom, component) in zip(axes, chosen, strict=False):
        _draw_coordinate(axis, series, atom, component)
        symbol = windows.frames.system.symbols[atom]
        axis.set_ylabel(f"{symbol}{atom + 1} {_AXIS_NAMES[component]} [Å]")
    _draw_errors(axes[-1], series)
    axes[-1].set_xlabel("time [fs]")
    gap = windows.stride * windows.frames.timestep
    axes[0].set_title(
        f"{windows.frames.system.formula}: {windows.stride - 1} hidden frames rebuilt in every gap of {gap:.3g} fs",
        loc="left",
        fontsize=11,
        pad=26,
    )
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].legend(handles, labels, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncol=6, frameon=False, fontsize=9)
    save(figure, path)


def plot_error_over_gap(evaluation: Evaluation, path: Path) -> None:
    """The mean error of each method at each position in the gap, on a logarithmic scale."""
    figure, axes = stacked(1, width=6.4, row_height=4.0)
    axis = axes[0]
    styles = styles_of(evaluation.methods)
    for name, errors in evaluation.methods.items():
        style = styles[name]
        count = len(errors.mae_per_position)
        times = np.arange(1, count + 1) * evaluation.gap / (count + 1)
        axis.plot(
            times, errors.mae_per_position, color=style.colour, lw=style.width, ls=style.dashes, label=style.label
        )
    axis.set_yscale("log")
    axis.set_xlim(0.0, evaluation.gap)
    axis.set_xlabel("time after the first anchor [fs]")
    axis.set_ylabel("mean absolute error [Å]")
    axis.set_title(f"{evaluation.windows} gaps of {evaluation.gap:.3g} fs, hidden frames", loc="left", fontsize=11)
    axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, path)


@dataclass(frozen=True, eq=False)
class _Series:
    """A few gaps in a row: times [fs], the truth, and what each method makes of it [A]."""

    times: Float[np.ndarray, " frames"]
    anchors: Float[np.ndarray, " anchors"]
    truth: Float[np.ndarray, "frames atoms 3"]
    methods: Mapping[str, Float[np.ndarray, "frames atoms 3"]]

    @property
    def at_anchor(self) -> np.ndarray:
        return np.isin(self.times.round(6), self.anchors.round(6))


def _series(methods: Mapping[str, Interpolator], windows: Windows) -> _Series:
    consecutive = int((windows.starts[:_SHOWN_GAPS].diff() == windows.stride).long().cumprod(0).sum()) + 1
    shown = replace(windows, starts=windows.starts[:consecutive])
    truth = true_trajectory(shown).positions
    rebuilt = {name: rebuilt_trajectory(method, shown).positions for name, method in methods.items()}
    times = np.arange(len(truth)) * windows.frames.timestep
    return _Series(times, times[:: windows.stride], truth, rebuilt)


def _most_missed(series: _Series) -> list[tuple[int, int]]:
    """The worst component of each of the three atoms that the spline misses most, of different elements if possible."""
    missed = np.abs(series.methods[_REFERENCE] - series.truth).mean(axis=0)
    atoms = np.argsort(missed.max(axis=1))[::-1][:3]
    return [(int(atom), int(missed[atom].argmax())) for atom in atoms]


def _draw_coordinate(axis: Axes, series: _Series, atom: int, component: int) -> None:
    for name, style in styles_of(series.methods).items():
        draw(axis, series.times, series.methods[name][:, atom, component], style)
    truth = series.truth[:, atom, component]
    hidden = ~series.at_anchor
    axis.plot(
        series.times[hidden], truth[hidden], "o", ms=3.0, mfc="white", mec="black", mew=0.7, label="truth (hidden)"
    )
    axis.plot(series.times[~hidden], truth[~hidden], "o", ms=6.5, color="black", label="anchors")
    _mark_anchors(axis, series)


def _draw_errors(axis: Axes, series: _Series) -> None:
    """The error over all atoms; there is none at the anchors, where the lines break."""
    for name, style in styles_of(series.methods).items():
        error = np.abs(series.methods[name] - series.truth).mean(axis=(1, 2))
        error[series.at_anchor] = np.nan
        draw(axis, series.times, error, style)
    axis.set_yscale("log")
    axis.set_ylabel("mean error,\nall atoms [Å]")
    _mark_anchors(axis, series)


def _mark_anchors(axis: Axes, series: _Series) -> None:
    for time in series.anchors:
        axis.axvline(time, color="0.85", lw=0.8, zorder=0)
    axis.set_xlim(series.times[0] - 0.4, series.times[-1] + 0.4)
