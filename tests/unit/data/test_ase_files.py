from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.verlet import VelocityVerlet
from sample_trajectories import assert_equal, sample

from neuralmd.data import formats
from neuralmd.errors import DataError


@pytest.mark.parametrize("suffix", [".extxyz", ".xyz", ".traj"])
def test_ase_reads_our_files(tmp_path, suffix):
    trajectory = sample(periodic=True)
    formats.write(trajectory, tmp_path / f"x{suffix}")
    images = ase.io.read(tmp_path / f"x{suffix}", index=":")
    assert len(images) == 12
    for i, atoms in enumerate(images):
        np.testing.assert_allclose(atoms.positions, trajectory.positions[i], atol=1e-8)
        np.testing.assert_allclose(atoms.get_velocities() * units.fs, trajectory.velocities[i], atol=1e-8)
        np.testing.assert_allclose(atoms.get_forces(), trajectory.forces[i], atol=1e-8)
        assert atoms.get_potential_energy() == trajectory.energies[i]
        assert atoms.info["time_fs"] == pytest.approx(0.5 * i)
        assert atoms.pbc.all()


@pytest.mark.parametrize("suffix", [".extxyz", ".traj"])
@pytest.mark.parametrize("keys", [(), ("time_fs",), ("timestep_fs",)])
def test_we_read_ases_files(tmp_path, suffix, keys):
    trajectory = sample(fields=("forces", "energies"))
    images = []
    for i, positions in enumerate(trajectory.positions):
        atoms = Atoms("OHH", positions, info={k: {"time_fs": 7 + 2.0 * i, "timestep_fs": 2.0}[k] for k in keys})
        atoms.calc = SinglePointCalculator(atoms, energy=trajectory.energies[i], forces=trajectory.forces[i])
        images.append(atoms)
    path = tmp_path / f"x{suffix}"
    ase.io.write(path, images)
    if not keys:
        with pytest.raises(DataError, match="does not state its time step"):
            formats.open_reader(path)
    read = formats.read(path, timestep=None if keys else 2.0)
    assert read.timestep == pytest.approx(2.0)
    assert_equal(read.slice(0, 12), _like(trajectory, read), positions=1e-8)


def _like(trajectory, read):
    return type(trajectory)(
        trajectory.system, trajectory.positions, read.segments, forces=trajectory.forces, energies=trajectory.energies
    )


def test_the_time_step_of_ases_own_dynamics(tmp_path):
    atoms = molecule("CO", calculator=EMT())
    atoms.set_velocities([[0, 0, 0.01], [0, 0, -0.01]])
    with VelocityVerlet(atoms, timestep=0.5 * units.fs, trajectory=str(tmp_path / "x.traj"), loginterval=4) as run:
        run.run(40)
    read = formats.read(tmp_path / "x.traj")
    assert read.timestep == pytest.approx(2.0, rel=1e-6)
    assert read.velocities is not None
    assert read.energies is not None
    central = (read.positions[2:] - read.positions[:-2]) / (2 * read.timestep)
    assert np.corrcoef(central.ravel(), read.velocities[1:-1].ravel())[0, 1] > 0.99


def test_plain_xyz(tmp_path):
    rows = "2\ncomment with = signs, 'quotes and -3.5\nH 0 0 {z}\nH 0 0 0\n"
    (tmp_path / "x.xyz").write_text("".join(rows.format(z=0.7 + 0.01 * i) for i in range(5)) + "\n\n")
    read = formats.read(tmp_path / "x.xyz", timestep=1.0)
    assert len(read) == 5
    assert not read.system.pbc.any()
    np.testing.assert_allclose(read.positions[:, 0, 2], 0.7 + 0.01 * np.arange(5))


@pytest.mark.parametrize("suffix", [".extxyz", ".traj"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms: atoms.set_atomic_numbers([1, 8, 1]), "atoms change in frame 3: H2O was expected"),
        (lambda atoms: atoms.set_atomic_numbers([8, 1, 6]), "atoms change in frame 3: H2O was expected .* CHO came"),
        (lambda atoms: atoms.append("H"), "atoms change in frame 3"),
        (lambda atoms: atoms.set_cell([9, 9, 10]), "cell changes in frame 3"),
        (lambda atoms: atoms.arrays.pop("momenta"), "frame 3 lacks velocities"),
    ],
)
def test_frames_that_differ(tmp_path, suffix, change, message):
    images = [Atoms("OHH", p, cell=[9, 9, 9], pbc=True, momenta=np.ones((3, 3))) for p in sample().positions]
    change(images[3])
    ase.io.write(tmp_path / f"x{suffix}", images)
    with pytest.raises(DataError, match=message):
        formats.read(tmp_path / f"x{suffix}", timestep=1.0)


def test_bad_xyz(tmp_path):
    path = tmp_path / "x.xyz"
    for text, message in (
        ("two\n\nH 0 0 0\n", "should begin with its number of atoms"),
        ("1\n\nH 0 0 0\n\n1\n\nH 0 0 0\n", "empty line after frame 0"),
        ("1\n\nH 0 0 0\n2\n\nH 0 0 0\nH 0 0 0\n", "atoms change in frame 1: it has 2, frame 0 has 1"),
        ("2\n\nH 0 0 0\nH 0 0 1\n2\n\nH 0 0 0\n", "truncated in frame 1"),
        ("1\n\nH 0 zero 0\n", "cannot be read as XYZ"),
        ("1\n\nQq 0 0 0\n", "cannot be read as XYZ"),
        ("1\ntime_fs=0\nH 0 0 0\n1\n\nH 0 0 0\n", "only 1 of 2 frames state time_fs"),
        ("0\n\n", "truncated in frame 0"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            formats.read(path, timestep=1.0)


def test_times_that_are_not_uniform(tmp_path):
    times = np.cumsum(np.random.default_rng(1).uniform(0.2, 1, 12))
    images = [Atoms("OHH", p, info={"time_fs": t}) for p, t in zip(sample().positions, times, strict=True)]
    for suffix in (".extxyz", ".traj"):
        ase.io.write(tmp_path / f"x{suffix}", images)
        with pytest.raises(DataError, match="not uniform in time"):
            formats.open_reader(tmp_path / f"x{suffix}")
