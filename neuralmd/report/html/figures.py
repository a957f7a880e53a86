"""The figures of a report: those of `evaluate` and `spectrum`, as pictures that are part of the page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from neuralmd.evaluation.evaluate import Evaluation
from neuralmd.evaluation.spectra import seam_wavenumber
from neuralmd.report.analysis import Analysis
from neuralmd.report.evaluation import Assessment
from neuralmd.report.html.words import label_of, length
from neuralmd.report.plots import plot_error_over_gap, plot_paths
from neuralmd.report.spectra_plots import SpectrumMarks, plot_spectra

_LARGEST_DRAWING: Final = 600_000
"""Bytes of a drawing (SVG) at most; larger ones become pictures of points (PNG)."""


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Attributes:
        title: Its heading.
        text: What it shows, and what to look for.
        alt: The same for who cannot see it.
        source: The picture itself, as a data URI.
        width: `full` or `half` of the page.
    """

    title: str
    text: str
    alt: str
    source: str
    width: str


def error_figures(assessment: Assessment, result: Evaluation) -> list[Figure]:
    """The error over the position in the gap, and three coordinates through a few gaps."""
    own = label_of(list(result.methods)[-1])
    worst = max(list(result.methods.values())[-1].mae_per_position)
    return [
        Figure(
            "Where in the gap the errors are",
            "A solution from one side errs more the farther it gets from the frame that it started from. Joined, each "
            "helps where the other is far from its start.",
            f"Mean error of every method over the time in the gap of {result.gap:.3g} fs, on a logarithmic scale. "
            f"That of the {own} is at most {length(worst)}.",
            _picture(lambda path: plot_error_over_gap(result, path)),
            "half",
        ),
        Figure(
            "Three coordinates through a few gaps",
            "Black dots are known frames, white ones the truth that no method was shown. The coordinates are those "
            "that the cubic Hermite spline misses most.",
            f"Three coordinates over time, as the truth, the known frames, the {own} and the cubic Hermite spline have "
            "them, and the error of each below.",
            _picture(lambda path: plot_paths(assessment.methods, assessment.windows, path)),
            "full",
        ),
    ]


def spectrum_figure(analysis: Analysis) -> Figure:
    """The vibrational spectra, with the wavenumber at which seams would show."""
    seam = "" if analysis.gap is None else f"{seam_wavenumber(analysis.gap):.0f} cm⁻¹"
    own, coarse = list(analysis.trajectories)[-1], analysis.spectra["coarse"]
    formula = analysis.trajectories[analysis.reference].system.formula
    marks = SpectrumMarks(f"{formula}: vibrational density of states", analysis.gap, analysis.band, analysis.families)
    different = analysis.difference(own)
    differs = "" if different is None else f" The {own} differs from the truth by {different:.1%} of its area."
    return Figure(
        "Vibrational spectrum",
        f"The grey area is the truth. The known frames alone end at {coarse.nyquist:.0f} cm⁻¹. A path with kinks at "
        f"known frames shows a false line at {seam}, which is marked.{differs}",
        f"Vibrational density of states of the truth, the known frames and the methods, on a logarithmic scale, with "
        f"the seam line at {seam}; below, its lower part and its highest band on linear scales.",
        _picture(lambda path: plot_spectra(analysis.spectra, marks, path)),
        "full",
    )


def _picture(draw: Callable[[Path], None]) -> str:
    """What is drawn into a file, as a data URI."""
    with TemporaryDirectory() as folder:
        drawing = Path(folder) / "figure.svg"
        draw(drawing)
        if drawing.stat().st_size <= _LARGEST_DRAWING:
            return _as_uri(drawing, "image/svg+xml")
        points = Path(folder) / "figure.png"
        draw(points)
        return _as_uri(points, "image/png")


def _as_uri(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
