"""The files that a comparison leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from neuralmd.compare.comparison import Comparison
from neuralmd.compare.contest import Contestant
from neuralmd.compare.figures import plot_error_over_gap, plot_error_over_stride
from neuralmd.compare.numbers import csv_text, to_dict
from neuralmd.compare.path_figures import plot_path_rows
from neuralmd.compare.paths import all_methods, first_models, one_anchor_and_both
from neuralmd.compare.tables import markdown
from neuralmd.report.evaluation import Assessment


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
    """Three coordinates through several gaps: of all methods, and of those that see one anchor or both."""
    models = first_models(contestants)
    trained = [contestant for contestant in contestants if contestant.label in models]
    if not trained:
        return []
    stride = comparison.trained_stride
    windows = Assessment.of(trained[0].members[0].folder, None, stride).windows
    gap = comparison.gaps[stride]
    title = f"{windows.frames.system.formula}: {stride - 1} hidden frames rebuilt in every gap of {gap:.3g} fs"
    target = folder / f"paths-stride{stride}.png"
    plot_path_rows(all_methods(comparison, models), windows, title, target)
    few = one_anchor_and_both(comparison, models)
    if not few:
        return [target]
    second = folder / f"second-anchor-stride{stride}.png"
    plot_path_rows(few, windows, f"{title}: from one anchor, and from both", second)
    return [target, second]
