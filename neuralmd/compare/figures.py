"""The figures of a comparison: error over the position in the gap, and error over the stride."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuralmd.compare.comparison import Comparison, Row, mean_and_spread
from neuralmd.report.style import Style, draw, new_figure, save, styles_of


def plot_error_over_gap(comparison: Comparison, stride: int, path: Path) -> None:
    """The mean error of every method at each position in the gap, averaged over seeds, on a logarithmic scale."""
    figure = new_figure(7.4, 4.4)
    axis = figure.subplots()
    rows = [row for row in comparison.rows if stride in row.scores]
    gap = comparison.gaps[stride]
    for row, style in _styled(rows):
        errors = np.mean([one.mae_per_position for one in row.scores[stride].values()], axis=0)
        draw(axis, np.arange(1, stride) * gap / stride, errors, style)
    axis.set_yscale("log")
    axis.set_xlim(0.0, gap)
    axis.set_xlabel("time after the first anchor [fs]")
    axis.set_ylabel("mean absolute error [Å]")
    axis.set_title(f"{comparison.windows[stride]} gaps of {gap:.3g} fs, hidden frames", loc="left", fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, path)


def plot_error_over_stride(comparison: Comparison, path: Path) -> None:
    """The mean error of every method over the gap, with the spread over seeds, both axes logarithmic."""
    figure = new_figure(7.4, 4.4)
    axis = figure.subplots()
    for row, style in _styled(list(comparison.rows)):
        strides = sorted(row.scores)
        summary = [mean_and_spread(row.values(stride, "mae")) for stride in strides]
        means = np.array([mean for mean, _ in summary])
        spreads = np.array([spread or 0.0 for _, spread in summary])
        gaps = np.array([comparison.gaps[stride] for stride in strides])
        draw(axis, gaps, means, style)
        axis.errorbar(gaps, means, spreads, fmt="o", ms=3.5, color=style.colour, capsize=2.5, lw=1.0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    gaps = [comparison.gaps[stride] for stride in comparison.strides]
    axis.set_xticks(gaps, [f"{gap:.3g}" for gap in gaps], minor=False)
    axis.set_xticks([], minor=True)
    axis.set_xlabel("gap [fs]")
    axis.set_ylabel("mean absolute error [Å]")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, path)


def _styled(rows: list[Row]) -> list[tuple[Row, Style]]:
    """Each row with a line of its own; a method that several contestants share is told apart by its colour."""
    names = [row.method for row in rows]
    unique = [row.method if names.count(row.method) == 1 else row.name for row in rows]
    styles = styles_of(unique)
    return [(row, styles[name]) for row, name in zip(rows, unique, strict=True)]
