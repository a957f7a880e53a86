from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_trajectories import sample

from neuralmd.data import files, formats
from neuralmd.data.inspection import inspect, require_trajectory
from neuralmd.data.npz import NpzReader
from neuralmd.data.tally import temperatures
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY

METHANE, TROPOLONE = "methane_b3lyp_nve_qm22.npz", "tropolone_b3lyp_nve_qm22.npz"
KETO, WATER6 = "keto_malondialdehyde_sgdml_nve_dt0.2fs.npz", "h2o6_mp2_nve_dt1fs.npz"
WATER10 = "h2o10_gfn2xtb_dt0.5fs.npz"


@pytest.fixture
def look(tmp_path):
    def look(trajectory):
        formats.write(trajectory, tmp_path / "x.npz", overwrite=True)
        return inspect(NpzReader(tmp_path / "x.npz"))

    return look


@pytest.fixture(scope="module")
def keto(shared_data):
    return formats.read(shared_data / KETO)


def shuffled(trajectory, seed=0):
    order = np.random.default_rng(seed).permutation(len(trajectory))
    picked = {
        name: None if (array := getattr(trajectory, name)) is None else array[order]
        for name in ("positions", "velocities", "forces", "energies")
    }
    return replace(trajectory, **picked)


def test_keto(keto, look):
    found = look(keto)
    assert (found.formula, found.atoms, found.frames) == ("C3H4O2", 9, 12_000)
    assert found.fields == {"velocities", "forces", "energies"}
    assert found.temperature == pytest.approx(315.4, abs=0.5)
    assert found.temperature_spread == pytest.approx(67, abs=1)
    assert found.temperature_from == "stored velocities"
    assert found.duration == pytest.approx(2399.8)
    assert found.highest_wavenumber == pytest.approx(83391, abs=1)
    assert found.suspicions == ()


def test_central_differences_give_the_same_temperature(keto, look):
    found = look(replace(keto, velocities=None, velocity_source=None))
    assert found.temperature == pytest.approx(315.4, abs=0.5)
    assert "central differences" in found.temperature_from


def test_tropolone(shared_data):
    with formats.open_reader(shared_data / TROPOLONE) as reader:
        found = inspect(reader)
    assert len(found.segments) == 9
    assert found.highest_wavenumber == pytest.approx(13790, abs=1)
    # The molecule does not rotate, and the file states temperatures for 3N - 6 degrees of freedom.
    np.testing.assert_allclose(found.segment_temperatures, np.load(shared_data / TROPOLONE)["seg_T_K"], rtol=1e-4)
    assert len(found.suspicions) == 1
    assert "steps of 0.6047 / 1.209 fs" in found.suspicions[0]


def test_small_blocks_give_the_same(keto, look, monkeypatch):
    part = replace(keto.slice(0, 61), segments=(Segment(0, 30, 0.2), Segment(30, 31, 0.2)))
    whole = look(part)
    for frames in (1, 2, 7, 30):
        monkeypatch.setattr(files, "_BLOCK_BYTES", 24 * 9 * frames)
        found = look(part)
        assert found.temperature == pytest.approx(whole.temperature, rel=1e-12)
        assert found.segment_temperatures == pytest.approx(whole.segment_temperatures, rel=1e-12)
        assert found.suspicions == whole.suspicions


@pytest.mark.parametrize("name", [METHANE, TROPOLONE, KETO, WATER6, WATER10])
def test_real_trajectories_pass_and_their_shuffles_do_not(shared_data, name, look):
    whole = formats.read(shared_data / name)
    for part in whole.split():
        require_trajectory(part)
        mixed = shuffled(part)
        if len(part) > 300:
            with pytest.raises(DataError, match=r"no closer to each other than random pairs.*rMD17.*original MD17"):
                require_trajectory(mixed)
            assert any("original MD17" in text for text in look(mixed).suspicions)


@pytest.mark.parametrize("name", [METHANE, TROPOLONE, KETO, WATER6, WATER10])
@pytest.mark.parametrize("stride", [2, 5, 10, 20, 50, 100, 250])
def test_coarse_trajectories_pass(shared_data, name, stride, look):
    for part in formats.read(shared_data / name).split():
        coarse = part.slice(0, len(part), stride)
        if len(coarse) > 1:
            require_trajectory(coarse)
            assert not any("MD17" in text or "velocities" in text for text in look(coarse).suspicions)


def test_what_is_no_trajectory():
    one = sample().slice(3, 4)
    with pytest.raises(DataError, match="at least two frames, but 1 came"):
        require_trajectory(one)
    broken = sample()
    broken.positions[4, 2, 0] = np.inf
    with pytest.raises(DataError, match="NaN or infinite in frame 4"):
        require_trajectory(broken)


def test_one_frame(look):
    found = look(sample().slice(0, 1))
    assert found.frames == 1
    assert found.temperature is not None
    assert found.suspicions[0] == "a single frame is no trajectory"
    assert look(sample(fields=()).slice(0, 1)).temperature is None


@pytest.mark.parametrize(
    ("factor", "hint"),
    [(10.1805, "ASE's units"), (0.0457, "atomic units"), (100.0, "nm/ps"), (1000.0, "A/ps"), (3.0, "check their unit")],
)
@pytest.mark.parametrize("stride", [1, 20])
def test_velocities_in_a_wrong_unit(keto, look, factor, hint, stride):
    part = keto.slice(0, 4000, stride)
    found = look(replace(part, velocities=part.velocities * factor))
    assert any(hint in text for text in found.suspicions)


def test_velocities_of_other_frames(keto, look):
    part = keto.slice(0, 2000)
    found = look(replace(part, velocities=part.velocities[::-1].copy()))
    assert any("do not follow the positions" in text for text in found.suspicions)


def test_a_jump_to_a_periodic_image(look):
    inside = sample((40,), periodic=True)
    inside.positions[25:, 1] += inside.system.cell[2]
    assert any("1.0" in text and "after frame 24, to a periodic image" in text for text in look(inside).suspicions)
    cell_unknown = replace(inside, system=System.from_atomic_numbers([8, 1, 1]))
    assert any("after frame 24" in text and "unwrap" in text for text in look(cell_unknown).suspicions)
    assert not any("jumps" in text for text in look(sample((40,), periodic=True)).suspicions)


def test_drift(look):
    moving = sample((40,), fields=())
    drifting = replace(moving, positions=moving.positions + 0.05 * np.arange(40)[:, None, None])
    assert any("centre of mass drifts, by 3." in text for text in look(drifting).suspicions)


def test_forces_and_energies_that_are_not_finite(look):
    broken = sample((40,))
    broken.forces[7] = np.nan
    broken.energies[9:] = np.inf
    broken.velocities[3] = np.nan
    text = " ".join(look(broken).suspicions)
    for expected in ("forces hold NaN or infinity, first in frame 7", "energies hold NaN", "velocities hold NaN"):
        assert expected in text


def test_atoms_that_rest_and_short_segments(look):
    still = Trajectory.uniform(System.from_atomic_numbers([8]), np.zeros((30, 1, 3)), 1.0)
    assert look(still).suspicions == ("the atoms do not move",)
    pieces = replace(sample((40,)), segments=(Segment(0, 38, 0.5), Segment(38, 2, 0.5)))
    assert any("1 of 2 segments have one or two frames" in text for text in look(pieces).suspicions)


def test_temperature_counts_the_degrees_of_freedom_that_move():
    water = System.from_atomic_numbers([8, 1, 1])
    rng = np.random.default_rng(0)
    positions, velocities = rng.normal(size=(2, 500, 3, 3))
    masses = water.masses[:, None]
    velocities -= (masses * velocities).sum(axis=1, keepdims=True) / masses.sum()
    energy = KINETIC_ENERGY * (masses * velocities**2).sum(axis=(1, 2))
    turning = temperatures(positions, velocities, water)
    np.testing.assert_allclose(turning.mean(), energy.mean() / (6 * BOLTZMANN), rtol=0.02)
    breathing = positions - (masses * positions).sum(axis=1, keepdims=True) / masses.sum()
    energy = KINETIC_ENERGY * (masses * breathing**2).sum(axis=(1, 2))
    np.testing.assert_allclose(temperatures(positions, breathing, water), energy / (3 * BOLTZMANN))
    atom = System.from_atomic_numbers([18])
    one = KINETIC_ENERGY * atom.masses[0] * 4.0 / (3 * BOLTZMANN)
    np.testing.assert_allclose(temperatures(np.zeros((1, 1, 3)), np.array([[[2.0, 0.0, 0.0]]]), atom), [one])
