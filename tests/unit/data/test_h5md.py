from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
from sample_trajectories import assert_equal, sample

from neuralmd.data import formats
from neuralmd.data.h5md_units import factor
from neuralmd.data.trajectory import VelocitySource
from neuralmd.errors import DataError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from MDAnalysis.coordinates.H5MD import H5MDReader


@pytest.mark.parametrize("suffix", [".h5", ".h5md"])
@pytest.mark.parametrize("periodic", [False, True])
def test_mdanalysis_reads_our_files(tmp_path, suffix, periodic):
    trajectory = sample((5, 4), (0.5, 0.25), periodic=periodic)
    path = tmp_path / f"x{suffix}"
    formats.write(trajectory, path)
    with H5MDReader(str(path)) as reader:
        assert reader.n_frames == 9
        assert reader.n_atoms == 3
        times = []
        for i, step in enumerate(reader):
            times.append(step.time)
            np.testing.assert_array_equal(step.positions, trajectory.positions[i].astype(np.float32))
            np.testing.assert_allclose(step.velocities, 1e3 * trajectory.velocities[i], rtol=2e-7)
            np.testing.assert_allclose(step.forces, 96.4853321 * trajectory.forces[i], rtol=3e-7)
            assert step.data["atoms/potential_energy"] == trajectory.energies[i]
            if periodic:
                np.testing.assert_allclose(step.triclinic_dimensions[0, 0], 9.0, rtol=0.01)
            else:
                assert step.dimensions is None
    np.testing.assert_allclose(times, 1e-3 * np.array([0, 0.5, 1, 1.5, 2, 2.25, 2.5, 2.75, 3]), atol=1e-9)


def test_the_file_follows_h5md(tmp_path):
    formats.write(sample(periodic=True), tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["h5md"].attrs["version"].tolist() == [1, 1]
        assert file["h5md/creator"].attrs["name"] == "neuralmd"
        assert "name" in file["h5md/author"].attrs
        atoms = file["particles/atoms"]
        assert atoms["box"].attrs["boundary"].tolist() == [b"periodic"] * 3
        assert atoms["species"][()].tolist() == [8, 1, 1]
        assert atoms["velocity/time"] == atoms["position/time"]
        assert atoms["position/value"].dtype == np.float64
        units = {name: atoms[f"{name}/value"].attrs["unit"] for name in ("position", "velocity", "force")}
        assert units == {"position": "Angstrom", "velocity": "Angstrom fs-1", "force": "kJ mol-1 Angstrom-1"}
        assert atoms["position/time"].attrs["unit"] == "fs"


def test_chunks_and_size(tmp_path):
    trajectory = sample((30_000,), fields=())
    formats.write(trajectory, tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        chunk = file["particles/atoms/position/value"].chunks
    assert 0.9 * 2**18 < 8 * np.prod(chunk) <= 2**18
    # What was reserved on the disk while writing is given back.
    assert (tmp_path / "x.h5").stat().st_size < 1.2 * trajectory.positions.nbytes + 2**19


def _foreign(path, **changes):
    """What another program might write: nm and ps, float32, scalar time, another group name, a fixed box."""
    trajectory = sample(fields=("velocities", "forces"), periodic=True)
    with h5py.File(path, "w") as file:
        atoms = file.create_group("particles/all")
        for name, values, scale, unit in (
            ("position", trajectory.positions, 0.1, "nm"),
            ("velocity", trajectory.velocities, 100.0, "nm ps-1"),
            ("force", trajectory.forces, 96.48533212, "kJ mol-1 Angstrom-1"),
        ):
            atoms[f"{name}/value"] = scale * values
            atoms[f"{name}/value"].attrs["unit"] = unit
            atoms[f"{name}/step"] = 1
            atoms[f"{name}/time"] = 5e-4
            atoms[f"{name}/time"].attrs["unit"] = "ps"
        atoms["species"] = trajectory.system.atomic_numbers
        atoms.create_group("box").attrs.update({"dimension": 3, "boundary": ["periodic"] * 3})
        atoms["box/edges"] = trajectory.system.cell / 10
        atoms["box/edges"].attrs["unit"] = "nm"
        for name, value in changes.items():
            place = name.replace("__", "/")
            del atoms[place]
            if value is not None:
                atoms[place] = value
    return trajectory


def test_foreign_files(tmp_path):
    written = _foreign(tmp_path / "x.h5")
    read = formats.read(tmp_path / "x.h5")
    assert read.timestep == pytest.approx(0.5)
    assert read.velocity_source is VelocitySource.STORED
    np.testing.assert_allclose(read.system.cell, written.system.cell)
    for name in ("positions", "velocities", "forces"):
        np.testing.assert_allclose(getattr(read, name), getattr(written, name), rtol=1e-8)


def test_image_flags_unwrap(tmp_path):
    written = _foreign(tmp_path / "x.h5")
    images = np.random.default_rng(0).integers(-2, 3, size=written.positions.shape)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["particles/all/image/value"] = images
    read = formats.read(tmp_path / "x.h5")
    np.testing.assert_allclose(read.positions, written.positions + images @ written.system.cell)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"species": None}, "one atomic number per atom"),
        ({"position": None}, "no /particles group with positions"),
        ({"position__value": np.zeros((12, 3, 3))}, "/particles/all/position/value does not state its unit"),
        ({"position__time": None}, "does not state its time step"),
        ({"position__time": 0.5}, "does not state its time step"),
    ],
)
def test_foreign_files_that_lack_something(tmp_path, changes, message):
    _foreign(tmp_path / "x.h5", **changes)
    with pytest.raises(DataError, match=message):
        formats.open_reader(tmp_path / "x.h5")


def test_a_changing_cell_is_refused(tmp_path):
    trajectory = sample(periodic=True)
    formats.write(trajectory, tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["particles/atoms/box/edges/value"][7:, 0, 0] = 9.5
    with pytest.raises(DataError, match="cell that changes from frame 0 to 7"):
        formats.open_reader(tmp_path / "x.h5")


def test_segments_from_times_of_a_foreign_file(tmp_path):
    formats.write(sample((5, 4), (0.5, 0.25)), tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        del file["parameters"]
    read = formats.read(tmp_path / "x.h5")
    assert [s.length for s in read.segments] == [5, 4]


def test_other_hdf5_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(DataError, match=r"no group .*particles, which H5MD puts there"):
        formats.open_reader(tmp_path / "x.h5")


def test_an_overwritten_file_can_be_read_from_while_it_is_replaced(tmp_path):
    trajectory = sample()
    formats.write(trajectory, tmp_path / "x.h5")
    with formats.open_reader(tmp_path / "x.h5") as reader:
        formats.write(reader.read(0, 5), tmp_path / "x.h5", overwrite=True)
        assert_equal(reader.read(0, 12), trajectory)
    assert len(formats.read(tmp_path / "x.h5")) == 5


@pytest.mark.parametrize(
    ("unit", "quantity", "expected"),
    [
        ("nm", "length", 10.0),
        ("A ps-1", "velocity", 1e-3),
        ("m s-1", "velocity", 1e-5),
        ("Angstrom AKMA-1", "velocity", 1 / 48.88821),
        ("eV Angstrom-1", "force", 1.0),
        ("kcal mol-1 A-1", "force", 0.0433641),
        ("kJ mol-1 nm-1", "force", 0.00103642697),
        ("N", "force", 6.241509e8),
        ("J m-1", "force", 6.241509e8),
        ("kJ mol-1", "energy", 0.0103642697),
        ("Hartree", "energy", 27.2113862),
        ("second", "time", 1e15),
    ],
)
def test_units(unit, quantity, expected):
    assert factor(unit, quantity) == pytest.approx(expected, rel=1e-6)


def test_wrong_units():
    with pytest.raises(DataError, match=r"furlong.*not known"):
        factor("furlong", "length")
    with pytest.raises(DataError, match="not a unit of velocity"):
        factor("nm ps", "velocity")
