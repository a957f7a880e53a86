from __future__ import annotations

import resource
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sample_trajectories import assert_equal, sample

from neuralmd.data import formats
from neuralmd.data.files import FileHeader
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.errors import DataError
from neuralmd.system import System

SUFFIXES = formats.SUFFIXES
TOLERANCE = {".extxyz": 1e-8, ".xyz": 1e-8}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("fields", [(), ("velocities",), ("velocities", "forces", "energies")])
def test_round_trip(tmp_path, suffix, periodic, fields):
    trajectory = sample(fields=fields, periodic=periodic)
    formats.write(trajectory, tmp_path / f"x{suffix}")
    assert_equal(formats.read(tmp_path / f"x{suffix}"), trajectory, positions=TOLERANCE.get(suffix, 0.0))
    assert [p.name for p in tmp_path.iterdir()] == [f"x{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_segments_survive_even_with_equal_steps(tmp_path, suffix):
    trajectory = sample((5, 4, 7), (0.5, 0.5, 1.25))
    formats.write(trajectory, tmp_path / f"x{suffix}")
    assert_equal(formats.read(tmp_path / f"x{suffix}"), trajectory, positions=TOLERANCE.get(suffix, 0.0))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_own_masses_survive(tmp_path, suffix):
    plain = sample()
    heavy = System(plain.system.atomic_numbers, np.array([17.99916, 2.014102, 1.007825]))
    trajectory = Trajectory(heavy, plain.positions, plain.segments, plain.velocities, VelocitySource.STORED)
    formats.write(trajectory, tmp_path / f"x{suffix}")
    assert_equal(formats.read(tmp_path / f"x{suffix}"), trajectory, positions=TOLERANCE.get(suffix, 0.0))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_written_and_read_equal_the_whole(tmp_path, suffix, size):
    trajectory = sample((8, 5), (0.5, 0.25))
    path = tmp_path / f"x{suffix}"
    with formats.create(
        path,
        trajectory.system,
        timestep=0.5,
        fields=frozenset({"velocities", "forces", "energies"}),
        velocity_source=VelocitySource.CENTRAL,
        metadata=trajectory.metadata,
    ) as writer:
        for segment in trajectory.segments:
            writer.start_segment(segment.timestep)
            for start in range(segment.start, segment.stop, size):
                writer.append(trajectory.slice(start, min(start + size, segment.stop)))
        assert not path.exists()
    with formats.open_reader(path) as reader:
        assert reader.frames == 13
        assert reader.fields == {"velocities", "forces", "energies"}
        assert_equal(reader.read(0, 13), trajectory, positions=TOLERANCE.get(suffix, 0.0))
        for start, stop in ((0, 1), (6, 10), (12, 13), (9, 11), (3, 3)):
            whole = formats.read(path).slice(start, stop)
            assert_equal(reader.read(start, stop), whole)
        blocks = list(reader.blocks(size))
    assert sum(len(block) for block in blocks) == 13
    assert all(len(block.segments) == 1 and len(block) <= size for block in blocks)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    positions=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 4), st.just(2), st.just(3)), elements=st.floats(-1e6, 1e6)
    ),
    timestep=st.floats(1e-3, 1e3),
    metadata=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))),
    suffix=st.sampled_from(SUFFIXES),
)
def test_any_trajectory_survives(tmp_path, positions, timestep, metadata, suffix):
    made = Trajectory.uniform(System.from_atomic_numbers([6, 8]), positions, timestep, velocities=1e-7 * positions)
    trajectory = Trajectory(made.system, positions, made.segments, made.velocities, metadata=metadata)
    formats.write(trajectory, tmp_path / f"x{suffix}", overwrite=True)
    tolerance = TOLERANCE.get(suffix, 0.0)
    assert_equal(formats.read(tmp_path / f"x{suffix}"), trajectory, positions=tolerance)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("metadata", [{"0": ""}, {"a": "1e5", "b": "T"}, {"=&": "&="}, {"x": "\n\t\\"}, {}])
def test_odd_metadata_survives(tmp_path, suffix, metadata):
    trajectory = replace(sample(fields=()), metadata=metadata)
    formats.write(trajectory, tmp_path / f"x{suffix}")
    assert formats.read(tmp_path / f"x{suffix}").metadata == metadata


def test_unknown_suffix(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"\.tar, but a trajectory file ends in \.h5, \.h5md, \.npz"):
        formats.open_reader(tmp_path / "x.tar")
    with pytest.raises(DataError, match=r"suffix \(none\)"):
        formats.write(sample(), tmp_path / "x")
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_empty_and_garbage_files(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(DataError, match="does not exist"):
        formats.open_reader(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be read as|holds no frames"):
        formats.open_reader(path)
    path.write_bytes(b"\x00\xff nonsense \n" * 99)
    with pytest.raises(DataError, match=r"cannot be read as|should begin with") as caught:
        formats.open_reader(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files(tmp_path, suffix, share):
    path = tmp_path / f"x{suffix}"
    formats.write(sample((40,)), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"x\.\w+") as caught:
        formats.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite(tmp_path, suffix, value):
    trajectory = sample()
    trajectory.positions[7, 1, 2] = value
    formats.write(trajectory, tmp_path / f"x{suffix}")
    with formats.open_reader(tmp_path / f"x{suffix}") as reader:
        assert len(reader.read(0, 7)) == 7
        with pytest.raises(DataError, match="NaN or infinite in frame 7"):
            reader.read(5, 12)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_file_stays(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_text("precious")
    with pytest.raises(DataError, match=r"exists already.*--overwrite"):
        formats.write(sample(), path)

    def interrupted():
        with formats.create(path, sample().system, timestep=0.5, fields=frozenset(), overwrite=True) as writer:
            writer.append(sample(fields=()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
    formats.write(sample(), path, overwrite=True)
    assert len(formats.read(path)) == 12


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_appears_meanwhile_stays(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    writer = formats.create(path, sample().system, timestep=0.5, fields=frozenset())
    writer.append(sample(fields=()))
    path.write_text("precious")
    with pytest.raises(DataError, match="appeared while it was being written"):
        writer.commit()
    assert path.read_text() == "precious"
    (tmp_path / f"x{suffix}.part").rename(tmp_path / f"y{suffix}")
    assert len(formats.read(tmp_path / f"y{suffix}")) == 12


@contextmanager
def _room(size):
    """No file may grow beyond so many bytes: what a full disk looks like to those who write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [10, 50_000, 1_000_000])
def test_a_full_disk_leaves_nothing(tmp_path, suffix, room):
    trajectory = sample((12_000,) if suffix in {".h5", ".h5md", ".npz"} else (3000,))
    room = min(room, 500_000) if suffix in {".traj", ".xyz", ".extxyz"} else room

    def fill():
        with formats.create(
            tmp_path / f"x{suffix}",
            trajectory.system,
            timestep=0.5,
            fields=frozenset({"velocities", "forces"}),
            velocity_source=VelocitySource.CENTRAL,
        ) as writer:
            for start in range(0, len(trajectory), 1000):
                writer.append(trajectory.slice(start, start + 1000))

    with _room(room), pytest.raises(DataError, match="disk is full"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_folders(tmp_path):
    formats.write(sample(), tmp_path / "new" / "folder" / "x.h5")
    assert (tmp_path / "new" / "folder" / "x.h5").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is no folder"):
        formats.write(sample(), tmp_path / "file" / "x.h5")
    (tmp_path / "x.h5").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        formats.write(sample(), tmp_path / "x.h5", overwrite=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_blocks_that_do_not_continue_the_file(tmp_path, suffix):
    water = sample(fields=("velocities",))
    writer = formats.create(
        tmp_path / f"x{suffix}",
        water.system,
        timestep=0.5,
        fields=frozenset({"velocities"}),
        velocity_source=VelocitySource.CENTRAL,
    )
    with pytest.raises(DataError, match=r"time step of 0.5 fs, but a block with 0.25 fs"):
        writer.append(sample((4,), (0.25,), fields=("velocities",)))
    with pytest.raises(DataError, match="to hold velocities, but a block came without"):
        writer.append(sample(fields=()))
    with pytest.raises(DataError, match="holds H2O, but a block of CO came"):
        writer.append(Trajectory.uniform(System.from_atomic_numbers([6, 8]), np.zeros((2, 2, 3)), 0.5))
    with pytest.raises(DataError, match="declares central velocities, but a block of stored"):
        writer.append(Trajectory.uniform(water.system, water.positions, 0.5, velocities=water.velocities))
    with pytest.raises(DataError, match="would hold no frames"):
        writer.commit()
    assert list(tmp_path.iterdir()) == []


def test_reading_outside_the_file(tmp_path):
    for suffix in SUFFIXES:
        formats.write(sample(), tmp_path / f"x{suffix}")
        with formats.open_reader(tmp_path / f"x{suffix}") as reader, pytest.raises(DataError, match=r"it has 0..12"):
            reader.read(5, 13)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_time_step_given_by_the_user(tmp_path, suffix):
    formats.write(sample(), tmp_path / f"x{suffix}")
    assert formats.read(tmp_path / f"x{suffix}", timestep=0.5001).timestep == 0.5
    with pytest.raises(DataError, match=r"states a time step of 0.5 fs, but 0.6 fs was given"):
        formats.open_reader(tmp_path / f"x{suffix}", timestep=0.6)


def test_unknown_field():
    with pytest.raises(DataError, match="charges"):
        FileHeader(sample().system, 0.5, frozenset({"charges"}))
