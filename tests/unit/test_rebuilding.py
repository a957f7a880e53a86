"""`nmd.rebuild` does in memory what `neuralmd reconstruct` does with files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neuralmd as nmd
from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import Trajectory, concatenate
from neuralmd.data.trust import Flag
from neuralmd.errors import CheckpointError, ConfigError, DataError
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
    by_command, made = nmd.read(tmp_path / "fine.h5"), nmd.rebuild(tmp_path / "coarse.h5", run)
    np.testing.assert_array_equal(made.positions, by_command.positions)
    assert made.trust is not None
    assert by_command.trust is not None
    assert made.trust.arrays().keys() == by_command.trust.arrays().keys() == {"flags", "error_bars", "frame_error_bars"}
    for name, array in made.trust.arrays().items():
        np.testing.assert_array_equal(array, by_command.trust.arrays()[name])
    told = {key: text for key, text in by_command.metadata.items() if key in made.metadata}
    assert told == made.metadata
    assert {"method", "error_bar_level", "compared_with_training_data", "anchor_velocities"} <= told.keys()


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


def test_error_bars_and_a_limit_mark_gaps_or_hand_them_to_a_spline(fine: Trajectory, run: TrainedRun) -> None:
    coarse = fine.slice(0, 81, 20)
    bars = nmd.rebuild(coarse, run).trust
    assert bars is not None
    assert bars.error_bars is not None
    assert bars.frame_error_bars is not None
    assert not bars.error_bars[::20].any()
    assert (np.delete(bars.error_bars, np.s_[::20], axis=0) > 0).all()
    largest = bars.frame_error_bars[1:].reshape(4, 20).max(axis=1)
    limit = float(np.sort(largest)[1:3].mean())
    marked = nmd.rebuild(coarse, run, max_error=limit)
    assert marked.trust is not None
    expected = np.repeat(np.where(largest > limit, Flag.UNCERTAIN, 0), 20)
    expected[19::20] = 0
    np.testing.assert_array_equal(marked.trust.flags, np.concatenate(([0], expected)))

    mended = nmd.rebuild(coarse, run, max_error=limit, fallback=CubicHermite())
    spline = nmd.rebuild(coarse, CubicHermite(), stride=20)
    assert mended.trust is not None
    assert spline.trust is None
    splined = (mended.trust.flags & Flag.SPLINE) > 0
    assert splined.sum() == 2 * 19
    np.testing.assert_array_equal(mended.positions[splined], spline.positions[splined])
    np.testing.assert_array_equal(mended.positions[~splined], marked.positions[~splined])
    assert mended.metadata["fallback"] == "spline"


def test_a_limit_without_error_bars_is_refused(fine: Trajectory, run: TrainedRun) -> None:
    coarse = fine.slice(0, 81, 20)
    with pytest.raises(ConfigError, match="needs error bars"):
        nmd.rebuild(coarse, CubicHermite(), stride=20, max_error=0.01)
    with pytest.raises(ConfigError, match="above 0"):
        nmd.rebuild(coarse, run, max_error=0.0)
    with pytest.raises(ConfigError, match="give max_error as well"):
        nmd.rebuild(coarse, run, fallback=CubicHermite())


def test_gaps_unlike_the_training_data_have_a_flag_and_a_warning(fine: Trajectory, run: TrainedRun) -> None:
    coarse = fine.slice(0, 81, 20)
    trained = replace(run, seen=Seen.of(fine.system, fine.positions, fine.velocities))
    made = nmd.rebuild(coarse, trained)
    assert made.trust is not None
    assert not made.trust.flags.any()
    assert made.metadata["compared_with_training_data"] == "yes"
    swollen = coarse.positions.copy()
    swollen[4] *= 1.3
    with pytest.warns(UserWarning, match="1 of 4 gaps are outside what the model has seen"):
        odd = nmd.rebuild(replace(coarse, positions=swollen), trained).trust
    assert odd is not None
    assert set(np.flatnonzero(odd.flags & Flag.DISTANCE)) == set(range(61, 80))


def test_error_bars_of_known_velocities_are_not_given_to_inferred_ones(fine: Trajectory, run: TrainedRun) -> None:
    coarse = replace(fine.slice(0, 81, 20), velocities=None, velocity_source=None)
    with pytest.warns(UserWarning, match="inferred from positions alone"):
        made = nmd.rebuild(coarse, run)
    assert made.trust is not None
    assert made.trust.error_bars is None
    assert made.trust.frame_error_bars is None
    assert made.metadata["anchor_velocities"] == "inferred"
