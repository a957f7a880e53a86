"""Figures of vibrational spectra, with the lines that seams may leave, and of bond-length distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from neuralmd.errors import DataError
from neuralmd.evaluation.distributions import Samples
from neuralmd.evaluation.spectra import VibrationalSpectrum, seam_wavenumber, strongest_peaks
from neuralmd.report.style import Style, clear, draw, new_figure, save, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEARLY_ALL: Final = 0.995
"""Part of the temperature below the highest wavenumber that is of interest."""

_MARGIN: Final = 1.15
_BAND_WIDTH: Final = 500.0
_DECADES: Final = 5
_BINS: Final = 50
_TRUTH: Final = "0.82"
_COARSE: Final = Style("", "0.25", width=1.0, dashes=(0, (1, 1)))
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
    """

    title: str
    gap: float | None = None
    band: tuple[float, float] | None = None


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
    band = marks.band or _highest_band(reference)
    for axis in axes:
        clear(axis)
        axis.set_xlabel(_AXIS)
    places = _places(spectra, marks.gap, top)
    _draw_panel(whole, spectra, (0.0, max([_MARGIN * top, *(1.07 * place for place in places)])))
    _draw_panel(low, spectra, (0.0, _lower_part(reference, band[0])))
    _draw_panel(high, spectra, band)
    _scale_logarithmically(whole, reference)
    for axis in axes:
        _mark(axis, places)
    _label(whole, places)
    for axis in (low, high):
        axis.set_ylim(0.0, None)
    whole.set_ylabel(f"density of states\n{_UNIT}")
    low.set_ylabel(f"density of states\n{_UNIT}")
    handles, labels = whole.get_legend_handles_labels()
    whole.legend(handles, labels, loc="lower left", bbox_to_anchor=(-0.01, 1.05), ncol=6, frameon=False, fontsize=9)
    whole.set_title(marks.title, loc="left", fontsize=11, pad=36 if len(labels) <= 6 else 52)
    save(figure, path)


def plot_bond_lengths(samples: Mapping[str, Samples], title: str, path: Path) -> None:
    """The distribution of each kind of bond's length; the first of the samples is the reference, drawn as an area.

    Raises:
        DataError: If there is no bond.
    """
    reference = next(iter(samples.values()), {})
    if not reference:
        raise DataError("a figure of bond lengths needs one bond at least")
    figure = new_figure(0.8 + 3.4 * len(reference), 3.6)
    row = figure.subplots(1, len(reference), squeeze=False)[0]
    styles = styles_of(list(samples)[1:])
    for axis, (kind, true) in zip(row, reference.items(), strict=True):
        clear(axis)
        edges = np.linspace(true.min(), true.max(), _BINS + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        for name, kinds in samples.items():
            density = np.histogram(kinds[kind], edges)[0] / (len(kinds[kind]) * np.diff(edges))
            if name in styles:
                draw(axis, middles, density, styles[name])
            else:
                axis.fill_between(middles, density, color=_TRUTH, lw=0, label=name)
        axis.set_ylim(0.0, None)
        axis.set_xlabel(f"{kind} [Å]")
        axis.locator_params(axis="x", nbins=5)
    row[0].set_ylabel("density [1/Å]")
    handles, labels = row[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    row[0].set_title(title, loc="left", fontsize=11)
    save(figure, path)


def _draw_panel(axis: Axes, spectra: Mapping[str, VibrationalSpectrum], limits: tuple[float, float]) -> None:
    names = list(spectra)
    top = _highest(spectra[names[0]])
    styles = styles_of(names[1:])
    for name, spectrum in spectra.items():
        shown = slice(None) if limits[1] >= spectrum.nyquist else spectrum.wavenumbers <= limits[1] * 1.01
        wavenumbers, density = spectrum.wavenumbers[shown], spectrum.density[shown]
        if name == names[0]:
            axis.fill_between(wavenumbers, density, color=_TRUTH, lw=0, label=name)
        elif spectrum.nyquist < top:
            axis.plot(wavenumbers, density, color=_COARSE.colour, lw=_COARSE.width, ls=_COARSE.dashes, label=name)
        else:
            draw(axis, wavenumbers, density, styles[name])
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
    places = {s.nyquist: "Nyquist of the coarse file" for s in spectra.values() if s.nyquist < top}
    if gap is not None:
        places |= {seam_wavenumber(gap): f"{_SEAM} line", 2 * seam_wavenumber(gap): f"{_SEAM} line × 2"}
    return places


def _highest(spectrum: VibrationalSpectrum) -> float:
    """The wavenumber below which nearly all of the temperature is."""
    total = np.cumsum(spectrum.density)
    return float(spectrum.wavenumbers[np.searchsorted(total, _NEARLY_ALL * total[-1])])


def _lower_part(spectrum: VibrationalSpectrum, band: float) -> float:
    """Where the panel of the peaks below a band ends."""
    peaks = [place for place in strongest_peaks(spectrum) if place < band]
    return min(1.2 * max(peaks), band) if peaks else band


def _highest_band(spectrum: VibrationalSpectrum) -> tuple[float, float]:
    middle = max(strongest_peaks(spectrum), default=_highest(spectrum))
    return max(0.0, middle - _BAND_WIDTH / 2), middle + _BAND_WIDTH / 2
