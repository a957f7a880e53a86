"""The files that a comparison leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from neuralmd.compare.comparison import Comparison, shown_methods
from neuralmd.compare.contest import Contestant
from neuralmd.compare.figures import plot_error_over_gap, plot_error_over_stride
from neuralmd.compare.tables import csv_text, markdown, to_dict
from neuralmd.evaluation.methods import splines
from neuralmd.report.evaluation import Assessment
from neuralmd.report.plots import plot_paths


def write(comparison: Comparison, contestants: Sequence[Contestant], folder: Path, copy: Path | None) -> list[Path]:
    """Write tables and figures of a comparison; returns what was written.

    Args:
        comparison: The scores.
        contestants: What was compared.
        folder: Where the files go.
        copy: Where else the JSON goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(to_dict(comparison), indent=2) + "\n"
    texts = {
        folder / "comparison.md": markdown(comparison),
        folder / "comparison.csv": csv_text(comparison),
        folder / "comparison.json": numbers,
    }
    if copy is not None:
        texts[copy] = numbers
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    figures = [folder / "error-over-stride.png"]
    plot_error_over_stride(comparison, figures[0])
    for stride in comparison.strides:
        figures.append(folder / f"error-over-gap-stride{stride}.png")
        plot_error_over_gap(comparison, stride, figures[-1])
    return [*texts, *figures, *_paths(comparison, contestants, folder)]


def _paths(comparison: Comparison, contestants: Sequence[Contestant], folder: Path) -> list[Path]:
    """Three coordinates through several gaps of the longest stride, one method a contestant."""
    methods = shown_methods(contestants)
    trained = [one for one in contestants if one.label in methods]
    if not trained:
        return []
    windows = Assessment.of(trained[0].members[0].folder, None, comparison.strides[-1]).windows
    target = folder / f"paths-stride{comparison.strides[-1]}.png"
    plot_paths({"cubic_hermite": splines()["cubic_hermite"], **methods}, windows, target)
    return [target]
