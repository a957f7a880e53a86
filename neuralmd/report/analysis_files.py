"""The files that an analysis leaves: tables, numbers and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from neuralmd.errors import DataError
from neuralmd.report.analysis import Analysis
from neuralmd.report.analysis_tables import markdown, to_dict
from neuralmd.report.distribution_plots import plot_radial_distributions, plot_samples
from neuralmd.report.spectra_plots import SpectrumMarks, plot_spectra

_MARKDOWN: Final = "spectrum.md"
_NUMBERS: Final = "spectrum.json"
_SPECTRA: Final = "spectrum.png"
_LENGTHS: Final = "bond-lengths.png"
_ANGLES: Final = "bond-angles.png"
_RADIAL: Final = "radial-distribution.png"

FILES: Final = (_MARKDOWN, _NUMBERS, _SPECTRA, _LENGTHS, _ANGLES, _RADIAL)
"""What `write` makes; the figures of bonds and angles only for molecules that have them."""


def refuse_existing(folder: Path, file: Path | None, *, overwrite: bool) -> None:
    """Raise DataError if the files or the copy of the JSON may not be replaced, or have no place."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give the name of a folder for the figures")
    if file is not None and file.is_dir():
        raise DataError(f"{file} is a folder: give the name of a file")
    there = [path for path in (*(folder / name for name in FILES), file) if path is not None and path.exists()]
    if there and not overwrite:
        raise DataError(f"{', '.join(map(str, there))} exists already: give another --output, or --overwrite")


def write(analysis: Analysis, folder: Path, copy: Path | None = None) -> list[Path]:
    """Write tables, numbers and figures into a folder; returns what was written.

    Args:
        analysis: What was found.
        folder: Where the files go.
        copy: Where else the JSON goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(to_dict(analysis), indent=2) + "\n"
    texts = {folder / _MARKDOWN: markdown(analysis), folder / _NUMBERS: numbers}
    if copy is not None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        texts[copy] = numbers
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return [*texts, *draw(analysis, folder)]


def draw(analysis: Analysis, folder: Path) -> list[Path]:
    """Write the figures into a folder; returns them."""
    formula = analysis.trajectories[analysis.reference].system.formula
    gap = "" if analysis.gap is None else f", gaps of {analysis.gap:.3g} fs"
    reference, finest = analysis.reference, analysis.spectra[analysis.reference].timestep
    coarse = {name: "coarse" for name, spectrum in analysis.spectra.items() if spectrum.timestep > 1.5 * finest}
    families = {**coarse, **analysis.families}
    marks = SpectrumMarks(f"{formula}: vibrational density of states{gap}", analysis.gap, families=families)
    drawn = [folder / _SPECTRA]
    plot_spectra(analysis.spectra, marks, drawn[0])
    if analysis.bond_lengths[reference]:
        drawn.append(folder / _LENGTHS)
        plot_samples(analysis.bond_lengths, f"{formula}: bond lengths{gap}", "Å", families, drawn[-1])
    if analysis.bond_angles[reference]:
        drawn.append(folder / _ANGLES)
        plot_samples(analysis.bond_angles, f"{formula}: angles between bonds{gap}", "°", families, drawn[-1])
    if analysis.radial:
        drawn.append(folder / _RADIAL)
        plot_radial_distributions(analysis.radial, f"{formula}: radial distribution{gap}", families, drawn[-1])
    return drawn
