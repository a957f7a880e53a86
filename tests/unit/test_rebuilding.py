"""`nmd.rebuild` does in memory what `neuralmd reconstruct` does with files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neuralmd as nmd
from neuralmd.data.trajectory import Trajectory, concatenate
from neuralmd.errors import CheckpointError, DataError
from neuralmd.interpolators.splines import CubicHermite, NaturalCubicSpline, QuinticHermite
from neuralmd.runs import TrainedRun


@pytest.fixture(scope="module")
def fine() -> Trajectory:
    return nmd.read(nmd.example("benzene")).slice(0, 81)


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return nmd.load(nmd.example("neural-ode"))


def test_known_frames_stay_and_hidden_ones_come_back(fine: Trajectory, run: TrainedRun) -> None:
    coarse = fine.slice(0, 81, 20)
    made = nmd.rebuild(coarse, run)
    assert (len(made), made.timestep, str(made.velocity_source)) == (81, 0.5, "reconstructed")
    np.testing.assert_array_equal(made.positions[::20], coarse.positions)
    assert made.velocities is not None
    assert coarse.velocities is not None
    np.testing.assert_array_equal(made.velocities[::20], coarse.velocities)
    assert np.abs(made.positions - fine.positions).mean() < 3e-4


def test_it_writes_what_the_command_writes(fine: Trajectory, run: TrainedRun, tmp_path: Path) -> None:
    from neuralmd.cli import main

    nmd.write(fine.slice(0, 61, 20), tmp_path / "coarse.h5")
    words = ["reconstruct", "coarse.h5", "fine.h5", "--run", str(nmd.example("neural-ode")), "--stride", "20"]
    words[1:3] = [str(tmp_path / name) for name in words[1:3]]
    with pytest.raises(SystemExit):
        main(words)
    by_command = nmd.read(tmp_path / "fine.h5")
    np.testing.assert_array_equal(nmd.rebuild(tmp_path / "coarse.h5", run).positions, by_command.positions)


def test_the_stride_of_a_run_follows_from_its_time_step(fine: Trajectory, run: TrainedRun) -> None:
    assert len(nmd.rebuild(fine.slice(0, 21, 10), run)) == 21
    odd = nmd.trajectory(fine.slice(0, 3))
    with pytest.raises(DataError, match="stride="):
        nmd.rebuild(replace(odd, segments=(replace(odd.segments[0], timestep=7.8),)), run)


def test_a_spline_needs_a_stride_and_no_velocities(fine: Trajectory) -> None:
    coarse = replace(fine.slice(0, 81, 20), velocities=None, velocity_source=None)
    with pytest.raises(DataError, match="stride=20"):
        nmd.rebuild(coarse, NaturalCubicSpline())
    made = nmd.rebuild(coarse, NaturalCubicSpline(), stride=4)
    assert (len(made), made.velocities) == (17, None)


def test_segments_stay_apart(fine: Trajectory) -> None:
    parts = [fine.slice(0, 41, 20), fine.slice(50, 71, 20)]
    made = nmd.rebuild(concatenate(parts), CubicHermite(), stride=20)
    assert [segment.length for segment in made.segments] == [41, 21]
    alone = nmd.rebuild(parts[1], CubicHermite(), stride=20)
    np.testing.assert_array_equal(made.positions[41:], alone.positions)


def test_velocities_that_are_missing_are_inferred_and_a_warning_tells(fine: Trajectory, run: TrainedRun) -> None:
    coarse = replace(fine.slice(0, 81, 20), velocities=None, velocity_source=None)
    with pytest.warns(UserWarning, match="inferred from positions alone"):
        made = nmd.rebuild(coarse, run)
    assert made.velocities is not None
    assert np.abs(made.positions - fine.positions).mean() < 3e-3


def test_what_cannot_be_done_is_said(fine: Trajectory, run: TrainedRun) -> None:
    with pytest.raises(DataError, match="one frame"):
        nmd.rebuild(fine.slice(0, 1), CubicHermite(), stride=5)
    with pytest.raises(DataError, match="at least 2"):
        nmd.rebuild(fine, CubicHermite(), stride=1)
    with pytest.raises(DataError, match="forces"):
        nmd.rebuild(fine, QuinticHermite(), stride=2)
    with pytest.raises(DataError, match="velocities"):
        nmd.rebuild(replace(fine, velocities=None, velocity_source=None), CubicHermite(), stride=2)
    water = Trajectory.uniform(
        nmd.System.from_atomic_numbers([8, 1, 1]), np.random.default_rng(0).random((4, 3, 3)), 10.0
    )
    with pytest.raises(CheckpointError, match="H2O"):
        nmd.rebuild(water, run)
