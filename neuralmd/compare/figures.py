"""The figures of a comparison's errors: over the position in the gap, and over the gap's length.

They show the best spline and the final method of every contestant; tables have the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from neuralmd.compare.comparison import Comparison, Row, mean_and_spread
from neuralmd.report.families import family_styles
from neuralmd.report.style import Style, clear, draw, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_DEPTH: Final = 0.02
"""Of the least mean error: next to an anchor, errors may be as good as none."""


def plot_error_over_gap(comparison: Comparison, stride: int, path: Path) -> None:
    """The mean error of every method at each position in the gap, averaged over seeds, on a logarithmic scale."""
    figure = new_figure(8.0, 4.6)
    axis = figure.subplots()
    gap = comparison.gaps[stride]
    rows = [row for row in comparison.shown if stride in row.scores]
    styles = styles_of_rows(comparison.shown)
    for row in _worst_first(rows, stride):
        errors = np.mean([one.mae_per_position for one in row.scores[stride].values()], axis=0)
        draw(axis, np.arange(1, stride) * gap / stride, errors, styles[row.name])
    axis.set_xlim(0.0, gap)
    axis.set_xlabel("time after the first anchor [fs]")
    title = f"{comparison.windows[stride]} gaps of {gap:.3g} fs: error of the hidden frames"
    _finish(axis, title)
    axis.set_ylim(bottom=max(axis.get_ylim()[0], _DEPTH * min(row.mean(stride, "mae") for row in rows)))
    save(figure, path)


def plot_error_over_stride(comparison: Comparison, path: Path) -> None:
    """The mean error of every method over the gap, with the spread over seeds, both axes logarithmic."""
    figure = new_figure(8.0, 4.6)
    axis = figure.subplots()
    rows = comparison.shown
    styles = styles_of_rows(rows)
    for row in _worst_first(rows, comparison.trained_stride):
        strides, style = sorted(row.scores), styles[row.name]
        summary = [mean_and_spread(row.values(stride, "mae")) for stride in strides]
        means = np.array([mean for mean, _ in summary])
        spreads = np.array([spread or 0.0 for _, spread in summary])
        gaps = np.array([comparison.gaps[stride] for stride in strides])
        draw(axis, gaps, means, style)
        axis.errorbar(gaps, means, spreads, fmt="o", ms=3.5, color=style.colour, capsize=2.5, lw=1.0)
    axis.set_xscale("log")
    gaps = [comparison.gaps[stride] for stride in comparison.strides]
    axis.set_xticks(gaps, [f"{comparison.gaps[stride]:.3g}\n({stride})" for stride in comparison.strides], minor=False)
    axis.set_xticks([], minor=True)
    axis.set_xlabel("gap [fs], and frames from anchor to anchor")
    _finish(axis, f"Error of the hidden frames, models trained at {comparison.gaps[comparison.trained_stride]:.3g} fs")
    save(figure, path)


def styles_of_rows(rows: Sequence[Row]) -> dict[str, Style]:
    """The line of each method, by its name; the same in all figures of a comparison."""
    return family_styles({row.name: row.family for row in rows})


def _worst_first(rows: Sequence[Row], stride: int) -> list[Row]:
    """In the order in which the lines lie below each other, so that the legend is easy to read."""
    return sorted(rows, key=lambda row: -row.mean(stride, "mae") if stride in row.scores else 0.0)


def _finish(axis: Axes, title: str) -> None:
    clear(axis)
    axis.set_yscale("log")
    axis.grid(visible=True, axis="y", which="major", color="0.9", lw=0.8)
    axis.set_axisbelow(True)
    axis.set_ylabel("mean absolute error [Å]")
    axis.set_title(title, loc="left", fontsize=11)
    axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.02, 0.5))
