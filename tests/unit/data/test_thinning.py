"""Every K-th frame, with the right velocities, in blocks, segment by segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuralmd.data import thinning
from neuralmd.data.formats import read, write
from neuralmd.data.thinning import Thinning, thin
from neuralmd.data.trajectory import (
    Segment,
    Trajectory,
    VelocitySource,
    with_central_velocities,
    with_seven_point_velocities,
)
from neuralmd.errors import DataError
from neuralmd.system import System

WATER = System.from_atomic_numbers([8, 1, 1])


def trajectory(lengths: tuple[int, ...] = (101,), *, velocities: bool = True) -> Trajectory:
    """Smooth motion of three atoms, in segments of different time steps."""
    parts, segments, start = [], [], 0
    phases = np.arange(9).reshape(3, 3)
    for index, length in enumerate(lengths):
        segments.append(Segment(start, length, 0.5 + index))
        start += length
        parts.append(np.sin(0.11 * np.arange(length)[:, None, None] + phases + index))
    positions = np.concatenate(parts)
    return Trajectory(
        WATER, positions, tuple(segments), positions * 0.3 if velocities else None, forces=positions * 2.0
    )


def fine_file(tmp_path: Path, frames: Trajectory) -> Path:
    path = tmp_path / "fine.h5"
    write(frames, path)
    return path


def test_stored_velocities_stay_as_they_are(tmp_path: Path) -> None:
    frames = trajectory()
    coarse = tmp_path / "coarse.h5"
    assert thin(fine_file(tmp_path, frames), coarse, Thinning(20)) == 6
    kept = read(coarse)
    assert kept.timestep == pytest.approx(10.0)
    assert kept.velocity_source is VelocitySource.STORED
    assert kept.velocities is not None
    assert frames.velocities is not None
    np.testing.assert_array_equal(kept.positions, frames.positions[::20])
    np.testing.assert_array_equal(kept.velocities, frames.velocities[::20])
    assert kept.metadata["thinned_stride"] == "20"


@pytest.mark.parametrize("block", [1, 4096])
@pytest.mark.parametrize("velocities", [False, True])
def test_velocities_from_seven_frames_are_those_of_the_fine_frames(
    tmp_path: Path, block: int, velocities: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "_BLOCK_FRAMES", block)
    frames = trajectory((101, 45), velocities=velocities)
    coarse = tmp_path / "coarse.h5"
    assert thin(fine_file(tmp_path, frames), coarse, Thinning(10, "seven_point")) == 10 + 4
    kept = read(coarse)
    assert kept.velocity_source is VelocitySource.SEVEN_POINT
    parts = [part.slice(0, len(part), 10) for part in with_seven_point_velocities(frames).split()]
    np.testing.assert_allclose(kept.positions, np.concatenate([part.positions for part in parts]))
    np.testing.assert_allclose(kept.velocities, np.concatenate([part.velocities for part in parts]), rtol=1e-12)


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_central_velocities_are_those_of_the_fine_frames(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "_BLOCK_FRAMES", block)
    frames = trajectory(velocities=False)
    coarse = tmp_path / "coarse.h5"
    thin(fine_file(tmp_path, frames), coarse, Thinning(5))
    kept, expected = read(coarse), with_central_velocities(frames).slice(0, 99, 5)
    assert kept.velocity_source is VelocitySource.CENTRAL
    assert kept.velocities is not None
    assert expected.velocities is not None
    np.testing.assert_array_equal(kept.positions, expected.positions)
    np.testing.assert_allclose(kept.velocities, expected.velocities, rtol=1e-12, atol=1e-15)


def test_central_differences_on_request_replace_stored_ones(tmp_path: Path) -> None:
    coarse = tmp_path / "coarse.h5"
    thin(fine_file(tmp_path, trajectory()), coarse, Thinning(5, "central"))
    assert read(coarse).velocity_source is VelocitySource.CENTRAL


def test_each_segment_is_thinned_by_itself_and_short_ones_are_left_out(tmp_path: Path) -> None:
    coarse = tmp_path / "coarse.h5"
    assert thin(fine_file(tmp_path, trajectory((50, 8, 31))), coarse, Thinning(10)) == 9
    kept = read(coarse)
    assert [(segment.length, segment.timestep) for segment in kept.segments] == [(5, 5.0), (4, 25.0)]
    np.testing.assert_array_equal(kept.positions[5:], trajectory((50, 8, 31)).positions[58::10])


def test_start_and_stop_bound_the_frames(tmp_path: Path) -> None:
    coarse = tmp_path / "coarse.h5"
    thin(fine_file(tmp_path, trajectory()), coarse, Thinning(10, "central", start=20, stop=61))
    np.testing.assert_array_equal(read(coarse).positions, trajectory().positions[20:61:10])


def test_stored_velocities_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no velocities: derive them with --velocities central"):
        thin(fine_file(tmp_path, trajectory(velocities=False)), tmp_path / "coarse.h5", Thinning(5, "stored"))


def test_a_stride_beyond_the_data_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="take a smaller stride"):
        thin(fine_file(tmp_path, trajectory()), tmp_path / "coarse.h5", Thinning(101))
    assert [path.name for path in tmp_path.iterdir()] == ["fine.h5"]


def test_an_output_that_exists_is_kept(tmp_path: Path) -> None:
    fine, coarse = fine_file(tmp_path, trajectory()), tmp_path / "coarse.h5"
    thin(fine, coarse, Thinning(20))
    before = coarse.read_bytes()
    with pytest.raises(DataError, match="--overwrite"):
        thin(fine, coarse, Thinning(5))
    assert coarse.read_bytes() == before
    thin(fine, coarse, Thinning(5), overwrite=True)
    assert len(read(coarse)) == 21


def test_the_fine_file_is_never_the_output(tmp_path: Path) -> None:
    fine = fine_file(tmp_path, trajectory())
    with pytest.raises(DataError, match="the fine file itself"):
        thin(fine, fine, Thinning(5), overwrite=True)


@pytest.mark.parametrize(("stride", "start", "stop"), [(1, 0, None), (5, -1, None), (5, 3, 3)])
def test_bounds_that_make_no_sense_are_refused(stride: int, start: int, stop: int | None) -> None:
    with pytest.raises(DataError):
        Thinning(stride, start=start, stop=stop)


def test_shuffled_frames_are_refused(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).normal(size=(500, 3, 3))
    fine = fine_file(tmp_path, Trajectory.uniform(WATER, frames, 0.5))
    with pytest.raises(DataError, match="shuffled"):
        thin(fine, tmp_path / "coarse.h5", Thinning(5))
