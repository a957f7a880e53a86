"""The analysis of trajectories, or of what methods rebuild: spectra, bonds, distances and temperatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.evaluation.distributions import Samples, Topology, wasserstein
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.radial import RadialDistribution, radial_difference, radial_distribution
from neuralmd.evaluation.rebuild import coarse_trajectory, rebuilt_trajectory, true_trajectory
from neuralmd.evaluation.spectra import (
    CH_STRETCH,
    Peak,
    VibrationalSpectrum,
    peak,
    spectrum_difference,
    vibrational_spectrum,
    with_velocities,
)
from neuralmd.interpolators.base import Interpolator
from neuralmd.report.spectra_plots import highest_band


@dataclass(frozen=True, eq=False)
class Analysis:
    """Spectra, bonds, distances and temperatures of several trajectories.

    The first trajectory is the reference. Bonds, angles and distances are of those that have the reference's atoms.

    Attributes:
        trajectories: By name; all have velocities.
        spectra: By name.
        bond_lengths: By name; the bonds are the reference's [A].
        bond_angles: By name, between these bonds [degrees].
        radial: Radial distribution functions by name; none for a single atom.
        gap: Time from anchor to anchor [fs], whose seam line is marked; none for none.
        families: The family of each, which gives it its colour; see `neuralmd.report.families`.
    """

    trajectories: Mapping[str, Trajectory]
    spectra: Mapping[str, VibrationalSpectrum]
    bond_lengths: Mapping[str, Samples]
    bond_angles: Mapping[str, Samples]
    radial: Mapping[str, RadialDistribution]
    gap: float | None = None
    families: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        trajectories: Mapping[str, Trajectory],
        resolution: float = 10.0,
        gap: float | None = None,
        families: Mapping[str, str | None] | None = None,
    ) -> Analysis:
        """Analyse trajectories; velocities that are missing become central differences.

        Args:
            trajectories: By name; the first is the reference.
            resolution: Spacing of wavenumbers asked for [cm^-1]; see `vibrational_spectrum`.
            gap: Time from anchor to anchor [fs], to mark the seam line.
            families: The family of those that are a model's.

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
        alike = {name: one for name, one in complete.items() if one.system.same_atoms(first.system)}
        topology = Topology.of(first)
        lengths = {name: topology.lengths(one.positions) for name, one in alike.items()}
        angles = {name: topology.angles(one.positions) for name, one in alike.items()}
        return cls(complete, spectra, lengths, angles, _radial(alike), gap, families or {})

    @classmethod
    def of_methods(
        cls,
        methods: Mapping[str, Interpolator],
        windows: Windows,
        resolution: float = 10.0,
        families: Mapping[str, str | None] | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Analysis:
        """The truth, the anchors alone, and what each method rebuilds of consecutive windows.

        Args:
            methods: By name.
            windows: What they rebuild.
            resolution: Spacing of wavenumbers asked for [cm^-1].
            families: The family of each method.
            advance: Called with the number of windows done, all methods together.

        Raises:
            DataError: If windows overlap, or are too few for a spectrum.
            SolverError: If an ODE cannot be solved.
        """
        trajectories = {"truth": true_trajectory(windows), "coarse": coarse_trajectory(windows)}
        for index, (name, method) in enumerate(methods.items()):

            def done(within: int, before: int = index * len(windows.starts)) -> None:
                if advance is not None:
                    advance(before + within)

            trajectories[name] = rebuilt_trajectory(method, windows, done)
        return cls.of(trajectories, resolution, windows.stride * windows.frames.timestep, families)

    @property
    def reference(self) -> str:
        """The name of the first trajectory."""
        return next(iter(self.trajectories))

    @property
    def has_ch_stretch(self) -> bool:
        """Whether the reference has C-H bonds, and frames close enough for the wavenumber of their stretches."""
        return "C-H" in self.bond_lengths[self.reference] and self.spectra[self.reference].nyquist > CH_STRETCH[1]

    @property
    def band(self) -> tuple[float, float]:
        """The band whose peak is compared: C-H stretches, or 250 cm^-1 either side of the reference's highest peak."""
        return CH_STRETCH if self.has_ch_stretch else highest_band(self.spectra[self.reference])

    def peak(self, name: str) -> Peak | None:
        """The highest peak in the band; none where the spectrum does not reach over it, or the atoms are others."""
        spectrum = self.spectra[name]
        reaches = spectrum.nyquist >= self.band[1] or name == self.reference
        return peak(spectrum, self.band) if reaches and name in self.bond_lengths else None

    def peak_ratios(self, name: str) -> tuple[float, float] | None:
        """Height and area of the peak in the band over the reference's; none where either has no such peak."""
        found, true = self.peak(name), self.peak(self.reference)
        if found is None or true is None or min(true.height, true.area) <= 0:
            return None
        return found.height / true.height, found.area / true.area

    def difference(self, name: str, band: tuple[float, float] | None = None) -> float | None:
        """The spectrum's difference from the reference; see `spectrum_difference`. None for other atoms."""
        if name not in self.bond_lengths:
            return None
        return spectrum_difference(self.spectra[name], self.spectra[self.reference], band)

    def shapes(self, name: str) -> dict[str, dict[str, float]]:
        """How far bond lengths [A], angles [degrees] and distances are from the reference's, by kind; empty for none.

        `wasserstein` of bonds and angles, `radial_difference` of pairs of elements.
        """
        if name not in self.bond_lengths:
            return {}
        found = {
            "bond_length_wasserstein": wasserstein(self.bond_lengths[name], self.bond_lengths[self.reference]),
            "bond_angle_wasserstein": wasserstein(self.bond_angles[name], self.bond_angles[self.reference]),
        }
        radial, true = self.radial.get(name), self.radial.get(self.reference)
        if radial is not None and true is not None and len(radial.radii) == len(true.radii):
            found["radial_difference"] = radial_difference(radial, true)
        return found


def _radial(trajectories: Mapping[str, Trajectory]) -> dict[str, RadialDistribution]:
    """Those of all trajectories, in the first one's bins wherever the cells are the same."""
    first = next(iter(trajectories.values()))
    if first.system.atoms < 2:
        return {}
    true = radial_distribution(first)
    same = {name: np.allclose(one.system.cell, first.system.cell) for name, one in trajectories.items()}
    return {
        name: true if one is first else radial_distribution(one, cutoff=true.cutoff if same[name] else None)
        for name, one in trajectories.items()
    }
