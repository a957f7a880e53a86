"""Figures of vibrational spectra, with the lines that seams may leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from neuralmd.errors import DataError
from neuralmd.evaluation.spectra import VibrationalSpectrum, seam_wavenumber, strongest_peaks
from neuralmd.report.families import family_styles
from neuralmd.report.style import clear, draw, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEARLY_ALL: Final = 0.995
"""Part of the temperature below the highest wavenumber that is of interest."""

_MARGIN: Final = 1.15
_LINE_OF_LEGEND: Final = 132
"""Letters in a line of the legend."""

_HANDLE: Final = 8
"""Letters that the line before a name is as wide as."""

_BAND_WIDTH: Final = 500.0
_DECADES: Final = 5
_TRUTH: Final = "0.82"
_WIDEST: Final = 1.3
_FARTHEST_SEAM: Final = 2.3
"""Times the highest wavenumber of interest, up to which the multiples of the seam line are shown."""

_UNIT: Final = "[K per cm$^{-1}$]"
_SEAM: Final = "seam"
_AXIS: Final = "wavenumber [cm$^{-1}$]"


@dataclass(frozen=True)
class SpectrumMarks:
    """What a figure of spectra says besides the spectra.

    Attributes:
        title: Its title.
        gap: Time from anchor to anchor [fs], whose seam lines are marked; none to mark none.
        band: What the last panel shows [cm^-1]; none for 250 cm^-1 either side of the first spectrum's highest peak.
        families: The family of each spectrum, which gives it its colour; see `neuralmd.report.families`.
    """

    title: str
    gap: float | None = None
    band: tuple[float, float] | None = None
    families: Mapping[str, str | None] = field(default_factory=dict)


def plot_spectra(spectra: Mapping[str, VibrationalSpectrum], marks: SpectrumMarks, path: Path) -> None:
    """Spectra on a logarithmic scale, and below on linear ones their lower part and their highest band.

    Args:
        spectra: By name. The first is the reference, drawn as an area; one whose Nyquist wavenumber lies in the
            reference's range is a coarse file, and that wavenumber is marked.
        marks: Title, gap and band.
        path: The PNG to write.

    Raises:
        DataError: If there is no spectrum.
    """
    if not spectra:
        raise DataError("a figure of spectra needs one spectrum at least")
    reference = next(iter(spectra.values()))
    top = _highest(reference)
    figure = new_figure(9.0, 6.4)
    axes = list(figure.subplot_mosaic([["all", "all"], ["low", "high"]], width_ratios=[1.7, 1.0]).values())
    whole, low, high = axes
    band = marks.band or highest_band(reference)
    for axis in axes:
        clear(axis)
        axis.set_xlabel(_AXIS)
    places = _places(spectra, marks.gap, top)
    _draw_panel(whole, spectra, marks.families, (0.0, max([_MARGIN * top, *(1.07 * place for place in places)])))
    _draw_panel(low, spectra, marks.families, (0.0, _lower_part(reference, band[0])))
    _draw_panel(high, spectra, marks.families, band)
    _scale_logarithmically(whole, reference)
    for axis in axes:
        _mark(axis, places)
    _label(whole, places)
    for axis in (low, high):
        axis.set_ylim(0.0, None)
    whole.set_ylabel(f"density of states\n{_UNIT}")
    low.set_ylabel(f"density of states\n{_UNIT}")
    _draw_legend(whole, marks.title)
    save(figure, path)


def _draw_legend(axis: Axes, title: str) -> None:
    """Above the axis, below the title, in the order of the spectra, which were drawn the other way round."""
    handles, labels = axis.get_legend_handles_labels()
    most = max(2, min(6, _LINE_OF_LEGEND // (_HANDLE + max(map(len, labels)))))
    lines = -(-len(labels) // most)
    axis.legend(
        handles[::-1],
        labels[::-1],
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.05),
        ncol=-(-len(labels) // lines),
        frameon=False,
        fontsize=9,
    )
    axis.set_title(title, loc="left", fontsize=11, pad=20 + 16 * lines)


def _draw_panel(
    axis: Axes,
    spectra: Mapping[str, VibrationalSpectrum],
    families: Mapping[str, str | None],
    limits: tuple[float, float],
) -> None:
    """The first spectrum as an area behind all others, of which the first one lies on top."""
    names = list(spectra)
    styles = family_styles({name: families.get(name) for name in names[1:]})
    for name, spectrum in reversed(list(spectra.items())):
        shown = slice(None) if limits[1] >= spectrum.nyquist else spectrum.wavenumbers <= limits[1] * 1.01
        wavenumbers, density = spectrum.wavenumbers[shown], spectrum.density[shown]
        if name == names[0]:
            axis.fill_between(wavenumbers, density, color=_TRUTH, lw=0, label=name, zorder=0.5)
        else:
            style = styles[name]
            draw(axis, wavenumbers, density, replace(style, width=min(style.width, _WIDEST)))
    axis.set_xlim(*limits)


def _scale_logarithmically(axis: Axes, reference: VibrationalSpectrum) -> None:
    highest = float(reference.density.max())
    axis.set_yscale("log")
    axis.set_ylim(highest * 10.0**-_DECADES, highest * 3)


def _mark(axis: Axes, places: Mapping[float, str]) -> None:
    """Vertical lines at the wavenumbers that the axis shows."""
    low, high = axis.get_xlim()
    for place, label in places.items():
        if low < place < high:
            colour = "#bb3322" if label.startswith(_SEAM) else "0.35"
            axis.axvline(place, color=colour, lw=0.9, ls="--", zorder=0)


def _label(axis: Axes, places: Mapping[float, str]) -> None:
    low, high = axis.get_xlim()
    for place, label in places.items():
        if low < place < high:
            colour = "#bb3322" if label.startswith(_SEAM) else "0.35"
            axis.text(
                place,
                1.01,
                label,
                transform=axis.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=8,
                color=colour,
            )


def _places(spectra: Mapping[str, VibrationalSpectrum], gap: float | None, top: float) -> dict[float, str]:
    """The wavenumbers to be marked: Nyquist's of coarse files, the seam line, and its double."""
    places = {s.nyquist: f"Nyquist of the coarse file, {s.nyquist:.0f}" for s in spectra.values() if s.nyquist < top}
    if gap is not None:
        line = seam_wavenumber(gap)
        places[line] = f"{_SEAM} line, {line:.0f}"
        if 2 * line < _FARTHEST_SEAM * top:
            places[2 * line] = f"{_SEAM} line × 2"
    return places


def _highest(spectrum: VibrationalSpectrum) -> float:
    """The wavenumber below which nearly all of the temperature is."""
    total = np.cumsum(spectrum.density)
    return float(spectrum.wavenumbers[np.searchsorted(total, _NEARLY_ALL * total[-1])])


def _lower_part(spectrum: VibrationalSpectrum, band: float) -> float:
    """Where the panel of the peaks below a band ends."""
    peaks = [place for place in strongest_peaks(spectrum) if place < band]
    return min(1.2 * max(peaks), band) if peaks else band


def highest_band(spectrum: VibrationalSpectrum) -> tuple[float, float]:
    """250 cm^-1 either side of the highest in wavenumber of the strongest peaks [cm^-1]."""
    middle = max(strongest_peaks(spectrum), default=_highest(spectrum))
    return max(0.0, middle - _BAND_WIDTH / 2), middle + _BAND_WIDTH / 2
