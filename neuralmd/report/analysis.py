"""The analysis of trajectory files, or of what methods rebuild: spectra, bond lengths and temperatures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmd.data.formats import read
from neuralmd.data.order import require_trajectory
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import ConfigError, DataError
from neuralmd.evaluation.distributions import Samples, Topology, temperature_per_element, wasserstein
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.rebuild import coarse_trajectory, rebuilt_trajectory, true_trajectory
from neuralmd.evaluation.spectra import (
    VibrationalSpectrum,
    seam_wavenumber,
    spectrum_difference,
    strongest_peaks,
    vibrational_spectrum,
    with_velocities,
)
from neuralmd.interpolators.base import Interpolator
from neuralmd.report.spectra_plots import SpectrumMarks, plot_bond_lengths, plot_spectra

if TYPE_CHECKING:
    from rich.table import Table

FIGURES = ("spectrum.png", "bond-lengths.png")
"""What `Analysis.draw` writes into its folder; the second one only for molecules with bonds."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """Spectra, bond lengths and temperatures of several trajectories.

    Attributes:
        trajectories: By name; the first is the reference. All have velocities.
        spectra: By name.
        bond_lengths: By name, of those that have the reference's atoms; the bonds are the reference's [A].
        gap: Time from anchor to anchor [fs], whose seam line is marked; none for none.
    """

    trajectories: Mapping[str, Trajectory]
    spectra: Mapping[str, VibrationalSpectrum]
    bond_lengths: Mapping[str, Samples]
    gap: float | None = None

    @classmethod
    def of(cls, trajectories: Mapping[str, Trajectory], resolution: float = 10.0, gap: float | None = None) -> Analysis:
        """Analyse trajectories; velocities that are missing become central differences.

        Args:
            trajectories: By name; the first is the reference.
            resolution: Spacing of wavenumbers asked for [cm^-1]; see `vibrational_spectrum`.
            gap: Time from anchor to anchor [fs], to mark the seam line.

        Raises:
            DataError: If a trajectory has no spectrum, or the gap is not positive; the message begins with its name.
        """
        if gap is not None and not 0 < gap < float("inf"):
            raise DataError(f"the gap between two anchors must be positive and finite [fs], but is {gap:g}")
        complete, spectra = {}, {}
        for name, trajectory in trajectories.items():
            try:
                complete[name] = with_velocities(trajectory)
                spectra[name] = vibrational_spectrum(complete[name], resolution)
            except DataError as error:
                raise DataError(f"{name}: {error}") from error
        first = next(iter(complete.values()))
        topology = Topology.of(first)
        lengths = {
            name: topology.lengths(trajectory.positions)
            for name, trajectory in complete.items()
            if trajectory.system.same_atoms(first.system)
        }
        return cls(complete, spectra, lengths, gap)

    @classmethod
    def of_methods(cls, methods: Mapping[str, Interpolator], windows: Windows, resolution: float = 10.0) -> Analysis:
        """The truth, the anchors alone, and what each method rebuilds of consecutive windows.

        Raises:
            DataError: If windows overlap, or are too few for a spectrum.
            SolverError: If an ODE cannot be solved.
        """
        trajectories = {"truth": true_trajectory(windows), "coarse": coarse_trajectory(windows)}
        trajectories |= {name: rebuilt_trajectory(method, windows) for name, method in methods.items()}
        return cls.of(trajectories, resolution, windows.stride * windows.frames.timestep)

    def table(self) -> Table:
        """One row for each trajectory."""
        from rich import box
        from rich.table import Table

        resolutions = dict.fromkeys(f"{spectrum.resolution:.3g}" for spectrum in self.spectra.values())
        table = Table(
            title="Vibrational density of states D; D_1 is the first one",
            caption=f"in cm^-1, {' / '.join(resolutions)} apart; difference: integral of |D - D_1| over that of D_1",
            box=box.SIMPLE_HEAD,
        )
        table.add_column("", overflow="fold")
        for column in ("dt [fs]", "up to", "velocities", "T [K]", "by element", "strongest peaks", "difference"):
            table.add_column(column, justify="right", no_wrap=column != "strongest peaks")
        for name, spectrum in self.spectra.items():
            kelvin = temperature_per_element(self.trajectories[name])
            difference = self._difference(name)
            table.add_row(
                name,
                f"{spectrum.timestep:.4g}",
                f"{spectrum.nyquist:.0f}",
                str(spectrum.velocity_source),
                f"{spectrum.temperature:.1f}",
                "  ".join(f"{element} {value:.0f}" for element, value in kelvin.items()),
                " ".join(f"{place:.0f}" for place in strongest_peaks(spectrum)),
                "" if difference is None else f"{difference:.3f}",
            )
        return table

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON: the table's, the spectra themselves, and how far bond lengths are from the first's."""
        reference = next(iter(self.bond_lengths.values()))
        rows = {}
        for name, spectrum in self.spectra.items():
            lengths = self.bond_lengths.get(name)
            rows[name] = {
                "frames": len(self.trajectories[name]),
                "timestep_fs": spectrum.timestep,
                "velocities": str(spectrum.velocity_source),
                "nyquist": spectrum.nyquist,
                "resolution": spectrum.resolution,
                "temperature": spectrum.temperature,
                "temperature_per_element": temperature_per_element(self.trajectories[name]),
                "peaks": strongest_peaks(spectrum),
                "difference": self._difference(name),
                "bond_length_wasserstein": None if lengths is None else wasserstein(lengths, reference),
                "wavenumbers": spectrum.wavenumbers.tolist(),
                "density": spectrum.density.tolist(),
            }
        seam = None if self.gap is None else seam_wavenumber(self.gap)
        return {"gap_fs": self.gap, "seam_line": seam, "trajectories": rows}

    def draw(self, folder: Path) -> list[Path]:
        """Write the figures into a folder; returns them."""
        formula = next(iter(self.trajectories.values())).system.formula
        spectra, lengths = folder / FIGURES[0], folder / FIGURES[1]
        gap = "" if self.gap is None else f", gaps of {self.gap:.3g} fs"
        plot_spectra(self.spectra, SpectrumMarks(f"{formula}: vibrational density of states{gap}", self.gap), spectra)
        if not next(iter(self.bond_lengths.values())):
            return [spectra]
        plot_bond_lengths(self.bond_lengths, f"{formula}: bond lengths", lengths)
        return [spectra, lengths]

    def write(self, path: Path) -> None:
        """Write the numbers as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    def _difference(self, name: str) -> float | None:
        if name not in self.bond_lengths:
            return None
        return spectrum_difference(self.spectra[name], next(iter(self.spectra.values())))


def load_trajectories(
    files: Sequence[Path],
    labels: Sequence[str] | None = None,
    timestep: float | None = None,
    segments: tuple[int, ...] | None = None,
) -> dict[str, Trajectory]:
    """Read trajectory files.

    Args:
        files: The files.
        labels: A name for each; none for the names of the files.
        timestep: Time from frame to frame [fs], for files that state none.
        segments: Which segments of each file; none for all.

    Raises:
        ConfigError: If there is not one label of its own for each file.
        DataError: If a file cannot be read, is no trajectory, or lacks a segment.
    """
    names = [file.name for file in files] if labels is None else list(labels)
    if labels is None and len(set(names)) < len(names):
        names = [str(file) for file in files]
    if len(names) != len(files):
        raise ConfigError(f"{len(files)} files need as many labels, but {len(names)} came: {', '.join(names)}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigError(f"each file needs a label of its own, but {', '.join(twice)} came twice: give --labels")
    return dict(zip(names, (_load(file, timestep, segments) for file in files), strict=True))


def _load(file: Path, timestep: float | None, segments: tuple[int, ...] | None) -> Trajectory:
    whole = read(file, timestep=timestep)
    try:
        chosen = whole if segments is None else whole.select(segments)
        require_trajectory(chosen)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    return chosen


def refuse_existing(folder: Path, file: Path | None, *, overwrite: bool) -> None:
    """Raise DataError if the figures or the JSON file may not be replaced, or have no place."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give the name of a folder for the figures")
    if file is not None and file.is_dir():
        raise DataError(f"{file} is a folder: give the name of a file")
    there = [path for path in (*(folder / name for name in FIGURES), file) if path is not None and path.exists()]
    if there and not overwrite:
        raise DataError(f"{', '.join(map(str, there))} exists already: give another --output, or --overwrite")
