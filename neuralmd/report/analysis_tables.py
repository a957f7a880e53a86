"""The numbers of an analysis: as tables, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Mapping

from neuralmd.evaluation.distributions import temperature_per_element
from neuralmd.evaluation.radial import RadialDistribution
from neuralmd.evaluation.spectra import seam_wavenumber, strongest_peaks
from neuralmd.report.analysis import Analysis
from neuralmd.report.text_table import TextTable

_SHAPES = {"bond_length_wasserstein": ("{} [mÅ]", 1e3), "bond_angle_wasserstein": ("{} [°]", 1.0)}
"""Column of each kind of bond or angle, and how many of its units make one of A or a degree."""


def tables(analysis: Analysis) -> tuple[TextTable, ...]:
    """What the command prints, and writes as Markdown; tables without rows are left out."""
    found = _spectrum_table(analysis), _band_table(analysis), _shape_table(analysis)
    return tuple(table for table in found if table.rows)


def markdown(analysis: Analysis) -> str:
    """The tables in Markdown."""
    return "\n".join(table.markdown() for table in tables(analysis))


def to_dict(analysis: Analysis) -> dict[str, object]:
    """Plain values for JSON: the tables', the spectra themselves, and the radial distribution functions."""
    seam = None if analysis.gap is None else seam_wavenumber(analysis.gap)
    rows = {name: _row(analysis, name) for name in analysis.spectra}
    return {"gap_fs": analysis.gap, "seam_line": seam, "band": list(analysis.band), "trajectories": rows}


def _spectrum_table(analysis: Analysis) -> TextTable:
    resolutions = dict.fromkeys(f"{spectrum.resolution:.3g}" for spectrum in analysis.spectra.values())
    rows = []
    for name, spectrum in analysis.spectra.items():
        kelvin = temperature_per_element(analysis.trajectories[name])
        rows.append(
            [
                name,
                f"{spectrum.timestep:.4g}",
                f"{spectrum.nyquist:.0f}",
                str(spectrum.velocity_source),
                f"{spectrum.temperature:.1f}",
                "  ".join(f"{element} {value:.0f}" for element, value in kelvin.items()),
                " ".join(f"{place:.0f}" for place in strongest_peaks(spectrum)),
                _text(analysis.difference(name), "{:.3f}"),
            ]
        )
    return TextTable(
        "Vibrational density of states D; D_1 is the first one",
        ["", "dt [fs]", "up to", "velocities", "T [K]", "by element", "strongest peaks", "difference"],
        rows,
        f"Wavenumbers in cm^-1, {' / '.join(resolutions)} apart; difference: integral of |D - D_1| over that of D_1.",
        wide=frozenset({"strongest peaks"}),
    )


def _band_table(analysis: Analysis) -> TextTable:
    """Position and height of the peak in the band, against the reference's."""
    low, high = analysis.band
    true = analysis.peak(analysis.reference)
    rows = []
    for name in analysis.bond_lengths if true is not None else ():
        found, ratios = analysis.peak(name), analysis.peak_ratios(name)
        if true is None or found is None or ratios is None:
            rows.append([name, "not reached", "", "", "", ""])
            continue
        place, shift = f"{found.position:.0f}", f"{round(found.position - true.position, 1) + 0.0:+.1f}"
        difference = _text(analysis.difference(name, analysis.band), "{:.3f}")
        rows.append([name, place, shift, *(f"{ratio:.3f}" for ratio in ratios), difference])
    what = "C-H stretch" if analysis.has_ch_stretch else "Highest band"
    return TextTable(
        f"{what}: the highest peak within {low:.0f}..{high:.0f} cm^-1, against the first one's",
        ["", "peak [cm^-1]", "shift", "height ratio", "area ratio", "difference"],
        rows,
        "Area: integral of D over the band; difference: that of the spectra within the band.",
    )


def _shape_table(analysis: Analysis) -> TextTable:
    """How far bonds, angles and distances are from the reference's."""
    shapes = {name: analysis.shapes(name) for name in analysis.bond_lengths}
    header = [form.format(kind) for key, (form, _) in _SHAPES.items() for kind in shapes[analysis.reference][key]]
    pairs = list(shapes[analysis.reference].get("radial_difference", {}))
    rows = []
    for name, found in shapes.items():
        moved = [f"{unit * value:.2g}" for key, (_, unit) in _SHAPES.items() for value in found[key].values()]
        radial = found.get("radial_difference", {})
        rows.append([name, *moved, *(_text(radial.get(pair), "{:.3f}") for pair in pairs)])
    return TextTable(
        "Bonds, angles and distances, against the first one's",
        ["", *header, *(f"g(r) {pair}" for pair in pairs)],
        rows if header or pairs else [],
        "Bonds and angles: mean distance by which the samples must move (Wasserstein); g(r): integral of |n - n_1| "
        "over that of n_1, with n = 4 pi r^2 g the number of atoms per A at the distance r.",
    )


def _row(analysis: Analysis, name: str) -> dict[str, object]:
    spectrum, found = analysis.spectra[name], analysis.peak(name)
    height, area = analysis.peak_ratios(name) or (None, None)
    return {
        "frames": len(analysis.trajectories[name]),
        "timestep_fs": spectrum.timestep,
        "velocities": str(spectrum.velocity_source),
        "nyquist": spectrum.nyquist,
        "resolution": spectrum.resolution,
        "temperature": spectrum.temperature,
        "temperature_per_element": temperature_per_element(analysis.trajectories[name]),
        "peaks": strongest_peaks(spectrum),
        "difference": analysis.difference(name),
        "band_peak": None if found is None else found.position,
        "band_height_ratio": height,
        "band_area_ratio": area,
        "band_difference": analysis.difference(name, analysis.band),
        **analysis.shapes(name),
        "wavenumbers": spectrum.wavenumbers.tolist(),
        "density": spectrum.density.tolist(),
        "radial_distribution": _radial(analysis.radial.get(name)),
    }


def _radial(found: RadialDistribution | None) -> Mapping[str, object] | None:
    if found is None:
        return None
    functions = {pair: found.g(pair).tolist() for pair in found.counts}
    return {"radii": found.radii.tolist(), "unit": "1" if found.periodic else "A^-3", "g": functions}


def _text(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
