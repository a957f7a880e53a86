"""Vibrational spectra of motions that are known, and of real water."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralmd.data.formats import read
from neuralmd.data.tally import temperatures
from neuralmd.data.trajectory import Trajectory, VelocitySource, concatenate
from neuralmd.errors import DataError
from neuralmd.evaluation.spectra import (
    central_difference_attenuation,
    nyquist_wavenumber,
    peak,
    seam_wavenumber,
    spectrum_difference,
    strongest_peaks,
    vibrational_spectrum,
)
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY, WAVENUMBER_PERIOD

CARBON = System.from_atomic_numbers([6])
PAIR = System.from_atomic_numbers([1, 35])


def oscillator(
    wavenumber: float, amplitude: float = 0.1, frames: int = 8000, timestep: float = 0.5, system: System = CARBON
) -> Trajectory:
    """All atoms on x = A sin(w t) along x."""
    times = timestep * np.arange(frames)
    omega = 2 * np.pi * wavenumber / WAVENUMBER_PERIOD
    positions, velocities = np.zeros((2, frames, system.atoms, 3))
    positions[..., 0] = amplitude * np.sin(omega * times)[:, None]
    velocities[..., 0] = amplitude * omega * np.cos(omega * times)[:, None]
    return Trajectory.uniform(system, positions, timestep, velocities=velocities)


@given(wavenumber=st.floats(150.0, 4000.0), resolution=st.floats(9.0, 30.0))
@settings(max_examples=20, deadline=None)
def test_an_oscillator_is_one_peak_at_its_wavenumber(wavenumber: float, resolution: float) -> None:
    spectrum = vibrational_spectrum(oscillator(wavenumber), resolution)
    found = peak(spectrum, (wavenumber - 100, wavenumber + 100))
    assert found.position == pytest.approx(wavenumber, abs=0.2 * resolution)
    assert found.centre == pytest.approx(wavenumber, abs=0.2 * resolution)
    assert found.area == pytest.approx(spectrum.temperature, rel=1e-3)
    assert strongest_peaks(spectrum) == [pytest.approx(wavenumber, abs=0.2 * resolution)]
    assert spectrum.resolution == pytest.approx(resolution, rel=0.01)


def test_the_integral_is_the_temperature() -> None:
    """An oscillator of amplitude A has <m v^2> = m (A w)^2 / 2, and a single atom three degrees of freedom."""
    wavenumber, amplitude = 16 * WAVENUMBER_PERIOD / 4000, 0.07  # sixteen whole periods
    spectrum = vibrational_spectrum(oscillator(wavenumber, amplitude))
    omega = 2 * np.pi * wavenumber / WAVENUMBER_PERIOD
    kinetic = CARBON.masses[0] * (amplitude * omega) ** 2 / 2 * KINETIC_ENERGY
    assert spectrum.temperature == pytest.approx(kinetic / (3 * BOLTZMANN), rel=1e-12)


def test_parseval_for_noise_in_segments_of_any_length() -> None:
    generator = np.random.default_rng(0)
    parts = []
    for frames in (2000, 37, 700, 3, 1999):
        x, v = generator.normal(size=(2, frames, 5, 3))
        parts.append(Trajectory.uniform(System.from_atomic_numbers([6, 1, 1, 1, 8]), x, 1.0, velocities=v))
    noise = concatenate(parts)
    spectrum = vibrational_spectrum(noise, 30.0)
    used = concatenate([part for part in noise.split() if len(part) >= 16])
    assert used.velocities is not None
    kelvin = temperatures(used.positions, used.velocities, used.system)
    assert spectrum.temperature == pytest.approx(kelvin.mean(), rel=1e-9)
    assert sum(share.sum() for share in spectrum.elements.values()) == pytest.approx(spectrum.density.sum())
    assert set(spectrum.elements) == {"C", "H", "O"}


def test_white_noise_is_flat_up_to_nyquist() -> None:
    velocities = np.random.default_rng(1).normal(size=(40_000, 1, 3))
    noise = Trajectory.uniform(CARBON, velocities, 2.0, velocities=velocities)
    spectrum = vibrational_spectrum(noise, 100.0)
    assert spectrum.nyquist == pytest.approx(WAVENUMBER_PERIOD / 4) == pytest.approx(spectrum.wavenumbers[-1], rel=0.02)
    assert spectrum.density[3:-3] == pytest.approx(spectrum.temperature / spectrum.nyquist, rel=0.3)


def test_contributions_are_weighted_by_mass() -> None:
    """Two atoms on a spring share its energy against their masses: m1 v1 = -m2 v2."""
    alone = oscillator(1000.0, system=PAIR)
    assert alone.velocities is not None
    ratio = np.array([[1.0], [-PAIR.masses[0] / PAIR.masses[1]]])
    spring = replace(alone, positions=alone.positions * ratio, velocities=alone.velocities * ratio)
    elements = vibrational_spectrum(spring).elements
    assert elements["Br"].sum() / elements["H"].sum() == pytest.approx(PAIR.masses[0] / PAIR.masses[1])


def test_the_motion_of_the_centre_of_mass_does_not_count() -> None:
    both = oscillator(1000.0, system=PAIR)
    assert vibrational_spectrum(both).temperature == pytest.approx(0.0, abs=1e-9)


def test_central_differences_are_declared_and_weaken_as_stated() -> None:
    true = oscillator(3000.0, timestep=1.0)
    derived = vibrational_spectrum(replace(true, velocities=None, velocity_source=None))
    assert derived.velocity_source == VelocitySource.CENTRAL
    ratio = peak(derived, (2900, 3100)).area / peak(vibrational_spectrum(true), (2900, 3100)).area
    assert ratio == pytest.approx(central_difference_attenuation(np.array([3000.0]), 1.0)[0], rel=2e-3)
    assert central_difference_attenuation(np.array([0.0, nyquist_wavenumber(1.0)]), 1.0) == pytest.approx([1.0, 0.0])


def test_what_is_above_nyquist_is_folded_below() -> None:
    fine = oscillator(3000.0, frames=40_000)
    coarse = vibrational_spectrum(fine.slice(0, 40_000, 20))
    assert coarse.nyquist == pytest.approx(1667.8, abs=0.1)
    assert strongest_peaks(coarse) == [pytest.approx(WAVENUMBER_PERIOD / 10 - 3000, abs=3)]


def test_the_seam_line() -> None:
    assert seam_wavenumber(10.0) == pytest.approx(3335.64, abs=0.01)


def test_differences_of_spectra() -> None:
    here, there = vibrational_spectrum(oscillator(1000.0)), vibrational_spectrum(oscillator(500.0, 0.2))
    assert spectrum_difference(here, here) == 0.0
    assert spectrum_difference(there, here) == pytest.approx(2.0, abs=0.01)
    assert spectrum_difference(there, here, (800, 1200)) == pytest.approx(1.0, abs=0.01)
    weaker = vibrational_spectrum(oscillator(1000.0, 0.05))
    assert spectrum_difference(weaker, here) == pytest.approx(0.75, abs=0.01)
    coarser = vibrational_spectrum(oscillator(1000.0), 10.3)
    assert spectrum_difference(coarser, here) < 0.2
    with pytest.raises(DataError, match="another band"):
        spectrum_difference(here, vibrational_spectrum(oscillator(1000.0, 0.0)))


def test_a_short_trajectory_has_a_coarser_resolution_and_says_so() -> None:
    assert vibrational_spectrum(oscillator(1000.0, frames=500)).resolution == pytest.approx(WAVENUMBER_PERIOD / 250)


def test_water_has_its_stretch(shared_data: Path) -> None:
    """Ten waters by GFN2-xTB. The file's time step was inferred from this very stretch, so only its scale is tested."""
    spectrum = vibrational_spectrum(read(shared_data / "h2o10_gfn2xtb_dt0.5fs.npz"))
    assert spectrum.velocity_source == VelocitySource.CENTRAL
    assert 3600 < peak(spectrum, (3000, 3850)).position < 3740


def test_water_by_mp2_moves_its_hydrogens_most(shared_data: Path) -> None:
    """m_O v_O = -m_H v_H in a stretch, so that oxygen has a sixteenth of the energy; and none at 2500 cm^-1."""
    spectrum = vibrational_spectrum(read(shared_data / "h2o6_mp2_nve_dt1fs.npz"))
    stretch = (spectrum.wavenumbers > 3000) & (spectrum.wavenumbers < 4200)
    share = spectrum.elements["O"][stretch].sum() / spectrum.density[stretch].sum()
    assert share == pytest.approx(1 / 16, abs=0.03)
    assert 1500 < peak(spectrum, (1200, 2000)).position < 1750
    assert peak(spectrum, (2300, 2700)).area < 0.02 * peak(spectrum, (3000, 4200)).area


@pytest.mark.parametrize(
    ("wrong", "resolution", "message"),
    [
        (oscillator(1000.0, frames=15), 10.0, "16 frames in a row, but the longest segment has 15"),
        (replace(oscillator(1.0, frames=17), velocities=None, velocity_source=None), 10.0, "18 frames"),
        (oscillator(1000.0), 0.0, "positive and finite"),
        (oscillator(1000.0, timestep=10.0), 500.0, "ask for one of 208 at most"),
        (concatenate([oscillator(1.0, frames=20), oscillator(1.0, frames=20, timestep=1.0)]), 10.0, "time steps"),
    ],
)
def test_what_has_no_spectrum(wrong: Trajectory, resolution: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        vibrational_spectrum(wrong, resolution)


def test_velocities_that_are_not_finite_and_bands_beyond_nyquist() -> None:
    broken = oscillator(1000.0, frames=100)
    assert broken.velocities is not None
    broken.velocities[7] = np.nan
    with pytest.raises(DataError, match="frame 7"):
        vibrational_spectrum(broken)
    with pytest.raises(DataError, match="reaches 1668"):
        peak(vibrational_spectrum(oscillator(500.0, timestep=10.0)), (2900, 3100))
