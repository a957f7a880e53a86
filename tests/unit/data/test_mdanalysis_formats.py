"""XTC, TRR, DCD, AMBER NetCDF and PDB: round trips, and the same numbers in MDAnalysis and ASE."""

from __future__ import annotations

import resource
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_trajectories import sample

from neuralmd.data import formats
from neuralmd.data.declared import Declared
from neuralmd.data.mdanalysis import FORMATS
from neuralmd.data.topology import read_topology
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System

WRITTEN = [".xtc", ".trr", ".dcd", ".nc", ".ncdf", ".pdb"]
PRECISION = {".xtc": 2e-5, ".trr": 2e-6, ".dcd": 1e-6, ".nc": 1e-6, ".ncdf": 1e-6, ".pdb": 6e-4}
TRICLINIC = np.array([[10.0, 0, 0], [2.0, 9.0, 0], [1.0, -2.0, 11.0]])
ORTHORHOMBIC = np.diag([8.0, 9.0, 10.0])


def water(cell: np.ndarray | None = None, frames: int = 30) -> Trajectory:
    """Water that tumbles slowly about the middle of its cell."""
    system = System.from_atomic_numbers([8, 1, 1])
    if cell is not None:
        system = replace(system, cell=cell, pbc=np.ones(3, dtype=bool))
    rng = np.random.default_rng(3)
    start = np.array([[5.0, 4.0, 4.5], [5.76, 4.59, 4.5], [4.24, 4.59, 4.5]])
    positions = start + np.cumsum(rng.normal(0.0, 0.01, (frames, 3, 3)), axis=0)
    return Trajectory.uniform(
        system,
        positions,
        2.5,
        velocities=rng.normal(0.0, 0.02, positions.shape),
        forces=rng.normal(0.0, 1.0, positions.shape),
    )


def declared(path: Path) -> Declared:
    """What each format wants to be told."""
    if path.suffix == ".pdb":
        return Declared(timestep=2.5)
    formats.write(water(frames=1), path.with_name("topology.pdb"), overwrite=True)
    return Declared(topology=path.with_name("topology.pdb"))


@pytest.mark.parametrize("cell", [None, ORTHORHOMBIC, TRICLINIC], ids=["free", "orthorhombic", "triclinic"])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_round_trip(tmp_path, suffix, cell):
    written = water(cell)
    path = tmp_path / f"x{suffix}"
    formats.write(written, path)
    read = formats.read(path, declared=declared(path))
    assert read.system.same_atoms(written.system)
    assert read.timestep == 2.5
    np.testing.assert_allclose(read.positions, written.positions, rtol=0, atol=PRECISION[suffix])
    np.testing.assert_allclose(read.system.cell, written.system.cell, rtol=0, atol=2e-2 if suffix == ".pdb" else 2e-5)
    np.testing.assert_array_equal(read.system.pbc, written.system.pbc)
    assert {"velocities": read.velocities is not None, "forces": read.forces is not None} == {
        name: name in FORMATS[suffix].holds for name in ("velocities", "forces")
    }
    if read.velocities is not None:
        assert read.velocity_source == "stored"
        np.testing.assert_allclose(read.velocities, written.velocities, rtol=2e-6, atol=1e-9)
        np.testing.assert_allclose(read.forces, written.forces, rtol=2e-6, atol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) in (["topology.pdb", path.name], [path.name])


@pytest.mark.parametrize("suffix", WRITTEN)
def test_mdanalysis_reads_equal_numbers(tmp_path, suffix):
    import MDAnalysis

    written = water(TRICLINIC)
    path = tmp_path / f"x{suffix}"
    formats.write(written, path)
    topology = declared(path).topology or path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe(str(topology), str(path))
        assert len(universe.trajectory) == len(written)
        for i in (0, 7, 29):
            frame = universe.trajectory[i]
            np.testing.assert_allclose(frame.positions, written.positions[i], rtol=0, atol=PRECISION[suffix])
            if suffix != ".pdb":  # MDAnalysis's frames of a PDB file count picoseconds, and it overlooks the cell
                assert frame.time == pytest.approx(2.5e-3 * i, rel=1e-5)
                np.testing.assert_allclose(frame.triclinic_dimensions, TRICLINIC, rtol=0, atol=2e-5)
            if frame.has_velocities:
                np.testing.assert_allclose(frame.velocities / 1e3, written.velocities[i], rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("suffix", [".nc", ".pdb"])
def test_ase_reads_equal_numbers(tmp_path, suffix):
    import ase.io

    written = water(ORTHORHOMBIC)
    formats.write(written, tmp_path / f"x{suffix}")
    if suffix == ".pdb":
        images = ase.io.read(tmp_path / "x.pdb", index=":")
        assert len(images.pop()) == 0  # ASE takes the END after the last ENDMDL for one more frame
        assert len(images) == len(written)
        np.testing.assert_array_equal(images[3].numbers, [8, 1, 1])
    else:
        from scipy.io import netcdf_file

        with netcdf_file(tmp_path / "x.nc", mmap=False) as file:
            assert file.Conventions == b"AMBER"
            np.testing.assert_allclose(file.variables["coordinates"][:], written.positions, atol=1e-6)
            np.testing.assert_allclose(file.variables["velocities"][:] / 1e3, written.velocities, rtol=2e-6, atol=1e-9)
            np.testing.assert_allclose(file.variables["cell_lengths"][5], [8, 9, 10])
        return
    np.testing.assert_allclose([image.positions for image in images], written.positions, rtol=0, atol=6e-4)
    np.testing.assert_allclose(images[0].cell.array, ORTHORHOMBIC, atol=1e-2)


def test_a_longer_netcdf_is_what_scipy_would_write(tmp_path):
    """The header that counts no frames yet, and the records behind it, fit each other."""
    from scipy.io import netcdf_file

    long = water(frames=400)
    formats.write(long, tmp_path / "x.nc")
    with netcdf_file(tmp_path / "x.nc", mmap=False) as file:
        np.testing.assert_allclose(file.variables["time"][:], 2.5e-3 * np.arange(400), rtol=1e-6)
        np.testing.assert_allclose(file.variables["forces"][399] * 0.0433641153087705, long.forces[399], rtol=2e-6)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_blocks_are_read_in_any_order(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    formats.write(water(), path)
    whole = formats.read(path, declared=declared(path))
    with formats.open_reader(path, declared=declared(path)) as reader:
        for start, stop in ((20, 30), (0, 5), (3, 22), (29, 30), (4, 4)):
            np.testing.assert_array_equal(reader.read(start, stop).positions, whole.positions[start:stop])


@pytest.mark.parametrize("suffix", [".xtc", ".trr", ".dcd", ".nc"])
def test_the_topology_is_asked_for_and_checked(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    formats.write(water(), path)
    with pytest.raises(DataError, match=r"without elements: name a file .* with --topology"):
        formats.open_reader(path)
    with pytest.raises(DataError, match=r"topology .*absent.pdb does not exist"):
        formats.open_reader(path, declared=Declared(topology=tmp_path / "absent.pdb"))
    other = Trajectory.uniform(System.from_atomic_numbers([8, 1]), np.array([[[0.0, 0, 0], [0, 0, 1]]]), 1.0)
    formats.write(other, tmp_path / "other.pdb")
    with pytest.raises(DataError, match=r"has 3 atoms, but the topology .*has 2"):
        formats.open_reader(path, declared=Declared(topology=tmp_path / "other.pdb"))


@pytest.mark.parametrize("suffix", [".h5", ".extxyz", ".traj", ".gro"])
def test_topologies_of_other_kinds(tmp_path, suffix):
    path = tmp_path / f"atoms{suffix}"
    if suffix == ".gro":
        rows = "".join(
            f"    1SOL  {name:>5}{i:5d}{i:8.3f}   0.000   0.000\n" for i, name in enumerate(["OW", "HW1", "HW2"], 1)
        )
        path.write_text(f"water\n    3\n{rows}   1.0 1.0 1.0\n")
    else:
        formats.write(water(frames=1), path)
    found = read_topology(path)
    assert found.system.formula == "H2O"
    assert ("guessed H2O; check it" in "".join(found.notes)) == (suffix == ".gro")


def test_masses_tell_elements_and_are_kept(tmp_path):
    psf = ["PSF", "", "       1 !NTITLE", " REMARKS water", "", "       3 !NATOM"]
    for i, (name, kind, mass) in enumerate([("Q1", "OT", 15.9994), ("Q2", "HT", 1.008), ("Q3", "HT", 2.014)], 1):
        psf.append(f"{i:8d} W    1    HOH  {name:<4} {kind:<4} {0.0:10.6f}     {mass:9.4f}           0")
    (tmp_path / "x.psf").write_text("\n".join([*psf, "", "       0 !NBOND: bonds", ""]))
    with pytest.raises(DataError, match=r"of which element atom 3 \(Q3\) is"):
        read_topology(tmp_path / "x.psf")
    text = (tmp_path / "x.psf").read_text().replace("Q3  ", "D3  ").replace("2.0140", "1.0080")
    (tmp_path / "x.psf").write_text(text)
    found = read_topology(tmp_path / "x.psf")
    np.testing.assert_array_equal(found.system.atomic_numbers, [8, 1, 1])
    np.testing.assert_allclose(found.system.masses, [15.9994, 1.008, 1.008])


def test_without_mdanalysis(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "MDAnalysis", None)
    with pytest.raises(DataError, match=r"go through MDAnalysis, which is not installed: pip install 'neuralmd\[io\]'"):
        formats.write(water(), tmp_path / "x.xtc")
    assert list(tmp_path.iterdir()) == []
    formats.write(water(), tmp_path / "x.nc")  # AMBER NetCDF is written without it
    with pytest.raises(DataError, match="which is not installed"):
        formats.open_reader(tmp_path / "x.nc", declared=Declared(topology=tmp_path / "x.pdb"))


@pytest.mark.parametrize("suffix", [".xtc", ".trr", ".dcd", ".nc", ".pdb"])
def test_a_changing_cell_is_refused(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    small, large = water(ORTHORHOMBIC), water(1.1 * ORTHORHOMBIC)
    formats.write(small, path)
    size = path.stat().st_size
    with formats.create(
        tmp_path / f"y{suffix}",
        large.system,
        timestep=2.5,
        fields=frozenset({"velocities", "forces"}) & formats.holds(path),
    ) as writer:
        writer.append(large)
    if suffix == ".pdb":
        path.write_text(path.read_text().replace("END\n", "") + (tmp_path / "y.pdb").read_text())
    else:
        join(path, tmp_path / f"y{suffix}", suffix)
    assert path.stat().st_size > size
    with pytest.raises(DataError, match="the cell changes in frame 30, but only a constant cell"):
        formats.read(path, declared=replace(declared(path), timestep=2.5 if suffix in {".pdb", ".dcd"} else None))


def join(first: Path, second: Path, suffix: str) -> None:
    """Append the frames of the second file to the first, as tools that know nothing of time do."""
    import MDAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe.empty(3)
        universe.load_new([str(first), str(second)], format=FORMATS[suffix].name)
        both = first.with_name(f"both{suffix}")
        kind = "NCDF" if suffix == ".nc" else FORMATS[suffix].name
        with MDAnalysis.Writer(str(both), 3, format=kind, dt=2.5e-3, velocities=True, forces=True) as writer:
            for i, _ in enumerate(universe.trajectory):
                universe.trajectory.ts.time = 2.5e-3 * i
                writer.write(universe.atoms)
    both.replace(first)


@pytest.mark.parametrize("suffix", [".xtc", ".trr", ".nc"])
def test_times_that_jump_begin_segments(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    formats.write(water(), path)
    whole = formats.read(path, declared=declared(path))
    import MDAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe.empty(3)
        universe.load_new(str(path), format=FORMATS[suffix].name)
        with MDAnalysis.Writer(str(tmp_path / f"y{suffix}"), 3, format=FORMATS[suffix].name) as writer:
            for i, frame in enumerate(universe.trajectory):
                if not 10 <= i < 14:
                    frame.time = 2.5e-3 * i
                    writer.write(universe.atoms)
    read = formats.read(tmp_path / f"y{suffix}", declared=declared(path))
    assert [segment.length for segment in read.segments] == [10, 16]
    assert [segment.timestep for segment in read.segments] == pytest.approx([2.5, 2.5], rel=1e-4)
    np.testing.assert_allclose(read.positions[10:], whole.positions[14:], atol=1e-4)


def test_a_time_that_no_sample_shows_is_found_on_reading(tmp_path):
    import MDAnalysis

    formats.write(water(), tmp_path / "x.trr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe.empty(3)
        universe.load_new(str(tmp_path / "x.trr"), format="TRR")
        with MDAnalysis.Writer(str(tmp_path / "y.trr"), 3, format="TRR") as writer:
            for i, frame in enumerate(universe.trajectory):
                frame.time = 2.5e-3 * i + (1e-3 if i == 7 else 0.0)
                writer.write(universe.atoms)
    with pytest.raises(DataError, match=r"not uniform in time: frame 7 is at 18\.5 fs, where 17\.5 fs was due"):
        formats.read(tmp_path / "y.trr", declared=declared(tmp_path / "x.trr"))


def test_dcd_times_are_noted_and_may_be_corrected(tmp_path):
    formats.write(water(), tmp_path / "x.dcd")
    how = declared(tmp_path / "x.dcd")
    with formats.open_reader(tmp_path / "x.dcd", declared=how) as reader:
        assert "DCD header's, which many programs leave wrong" in "".join(reader.notes)
    with formats.open_reader(tmp_path / "x.dcd", declared=how, timestep=5.0) as reader:
        assert reader.segments[0].timestep == 5.0
        assert reader.notes == ()


@pytest.mark.parametrize("suffix", WRITTEN)
def test_what_a_format_cannot_hold(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(DataError, match="cannot hold energies"):
        formats.create(path, water().system, timestep=1.0, fields=frozenset({"energies"}))
    with pytest.raises(DataError, match="several segments"):
        formats.write(replace(sample((4, 5), (0.5, 0.5)), system=water().system), path)
    turned = water(np.array([[0.0, 8.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 10.0]]))
    with pytest.raises(DataError, match="with a along x"):
        formats.write(turned, path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="is read, but not written"):
        formats.write(water(), tmp_path / "x.mdcrd")


@pytest.mark.parametrize("suffix", WRITTEN)
def test_an_existing_file_stays(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_text("precious")
    with pytest.raises(DataError, match=r"exists already.*--overwrite"):
        formats.write(water(), path)
    broken = water()
    broken.positions[7, 0, 0] = np.nan

    def interrupted():
        with formats.create(path, broken.system, timestep=2.5, fields=frozenset(), overwrite=True) as writer:
            writer.append(broken.slice(0, 5))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
    formats.write(water(), path, overwrite=True)
    assert len(formats.read(path, declared=declared(path))) == 30


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("room", [10, 5000, 200_000])
def test_a_full_disk_leaves_nothing(tmp_path, suffix, room):
    motion = water(frames=20_000 if suffix != ".pdb" else 2000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(DataError, match=r"(disk is full|is the disk full).*nothing of it was kept"):
            formats.write(motion, tmp_path / f"x{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_lammps_dump_and_amber_text(tmp_path):
    motion = water(frames=4)
    with (tmp_path / "x.lammpstrj").open("w") as file:
        for i, frame in enumerate(motion.positions):
            file.write(f"ITEM: TIMESTEP\n{10 * i}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n")
            file.write("0 12\n0 12\n0 12\nITEM: ATOMS id type x y z\n")
            file.writelines(f"{k + 1} 1 {x:.6f} {y:.6f} {z:.6f}\n" for k, (x, y, z) in enumerate(frame))
    with (tmp_path / "x.mdcrd").open("w") as file:
        file.write("title\n")
        numbers = [f"{value:8.3f}" for value in motion.positions[0].ravel()]
        for frame in motion.positions:
            numbers = [f"{value:8.3f}" for value in frame.ravel()]
            file.write("".join(numbers) + "\n")
    how = replace(declared(tmp_path / "x.xtc"), timestep=2.5)
    for name, precision in (("x.lammpstrj", 2e-6), ("x.mdcrd", 6e-4)):
        read = formats.read(tmp_path / name, declared=how)
        np.testing.assert_allclose(read.positions, motion.positions, rtol=0, atol=precision)
    assert formats.read(tmp_path / "x.lammpstrj", declared=how).system.cell[0, 0] == pytest.approx(12.0)
    with pytest.raises(DataError, match="does not state its time step"):
        formats.read(tmp_path / "x.mdcrd", declared=replace(how, timestep=None))
