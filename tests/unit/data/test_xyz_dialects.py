"""XYZ as CP2K, i-PI and others write it, and columns of velocities without a unit."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms

from neuralmd.data import formats
from neuralmd.data.declared import Declared, LengthUnit, VelocityUnit
from neuralmd.errors import DataError

FRAMES = np.array([[5.0, 4.0, 4.5], [5.76, 4.59, 4.5], [4.24, 4.59, 4.5]]) + 0.01 * np.arange(6)[:, None, None]


def write(path, comment, positions=FRAMES):
    with path.open("w") as file:
        for i, frame in enumerate(positions):
            file.write(f"3\n{comment(i)}\n")
            file.writelines(f"{s:>3} {x:.8f} {y:.8f} {z:.8f}\n" for s, (x, y, z) in zip("OHH", frame, strict=True))


@pytest.mark.parametrize("comment", ["", "water", "step 17 of the run", 'frame #1: "quoted'])
def test_plain_files_hold_positions_only(tmp_path, comment):
    write(tmp_path / "x.xyz", lambda _: comment)
    with pytest.raises(DataError, match="does not state its time step"):
        formats.read(tmp_path / "x.xyz")
    read = formats.read(tmp_path / "x.xyz", timestep=5.0)
    np.testing.assert_allclose(read.positions, FRAMES, atol=1e-8)
    assert read.velocities is None
    assert not read.system.pbc.any()
    scaled = formats.read(tmp_path / "x.xyz", declared=Declared(timestep=5.0, length_unit=LengthUnit.BOHR))
    np.testing.assert_allclose(scaled.positions, 0.529177210903 * FRAMES, atol=1e-8)


def test_cp2k_states_the_time(tmp_path):
    write(tmp_path / "x.xyz", lambda i: f" i = {i:8d}, time = {2.5 * i:12.3f}, E = {-17.1 - i:16.10f}")
    read = formats.read(tmp_path / "x.xyz")
    assert read.timestep == pytest.approx(2.5)
    np.testing.assert_allclose(read.positions, FRAMES, atol=1e-8)


@pytest.mark.parametrize(
    ("unit", "factor"), [("{atomic_unit}", 0.529177210903), ("{angstrom}", 1.0), ("{nanometer}", 10.0)]
)
@pytest.mark.parametrize("cell", ["abcABC", "H"])
def test_ipi_states_units_and_cell(tmp_path, unit, factor, cell):
    numbers = "20.0 30.0 40.0 90.0 90.0 90.0" if cell == "abcABC" else "20.0 1.0 0.0 0.0 30.0 0.0 0.0 0.0 40.0"
    text = f"# CELL({cell}): {numbers} cell{unit}  Traj: positions{unit} Step: "
    write(tmp_path / "x.xyz", lambda i: f"{text} {10 * i}  Bead: 0")
    read = formats.read(tmp_path / "x.xyz", timestep=5.0)
    np.testing.assert_allclose(read.positions, factor * FRAMES, rtol=1e-7)
    assert read.system.pbc.all()
    expected = np.diag([20.0, 30.0, 40.0]) + (0 if cell == "abcABC" else np.eye(3, k=-1) * [1.0, 0, 0])
    np.testing.assert_allclose(read.system.cell, factor * expected, atol=1e-9)
    write(tmp_path / "x.xyz", lambda i: f"{text.replace('20.0', f'2{i}.0')} {10 * i}  Bead: 0")
    with pytest.raises(DataError, match="the cell changes in frame 1"):
        formats.read(tmp_path / "x.xyz", timestep=5.0)


def test_ipi_files_of_something_else(tmp_path):
    write(
        tmp_path / "x.xyz", lambda i: f"# CELL(abcABC): 20 20 20 90 90 90 Step: {i} Bead: 0 velocities{{atomic_unit}}"
    )
    with pytest.raises(DataError, match="holds velocities, not positions"):
        formats.read(tmp_path / "x.xyz", timestep=5.0)
    write(tmp_path / "x.xyz", lambda i: "# CELL(abcABC): 20 20 20 cell{angstrom} Traj: positions{angstrom}")
    with pytest.raises(DataError, match="i-PI's comment line cannot be read"):
        formats.read(tmp_path / "x.xyz", timestep=5.0)
    write(tmp_path / "x.xyz", lambda i: "# CELL(abcABC): 20 20 20 90 90 90 cell{parsec} Traj: positions{parsec}")
    with pytest.raises(DataError, match="unit 'parsec' is not known"):
        formats.read(tmp_path / "x.xyz", timestep=5.0)


@pytest.mark.parametrize("column", ["vel", "velo", "velocities"])
def test_a_column_of_velocities_needs_a_unit(tmp_path, column):
    images = []
    for i, frame in enumerate(FRAMES):
        atoms = Atoms("OHH", frame, info={"time_fs": 2.0 * i})
        atoms.arrays[column] = np.arange(9.0).reshape(3, 3)
        images.append(atoms)
    ase.io.write(tmp_path / "x.extxyz", images)
    with formats.open_reader(tmp_path / "x.extxyz") as reader:
        assert "velocities" not in reader.fields
        assert f"the column {column} is not read, since it states no unit: give --velocity-unit" in reader.notes[0]
    read = formats.read(tmp_path / "x.extxyz", declared=Declared(velocity_unit=VelocityUnit.METRE_PER_SECOND))
    np.testing.assert_allclose(read.velocities[2], 1e-5 * np.arange(9.0).reshape(3, 3), rtol=1e-9)
    assert read.velocity_source == "stored"
