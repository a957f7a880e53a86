"""Rebuilt trajectories, and the kinks at their seams, for paths whose kinks are known."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch

from neuralmd.data.anchors import Anchors
from neuralmd.data.trajectory import Trajectory, VelocitySource, concatenate
from neuralmd.data.windows import Frames
from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.evaluation.rebuild import coarse_trajectory, gap_paths, rebuilt_trajectory, true_trajectory
from neuralmd.evaluation.seams import seam_kink
from neuralmd.interpolators.base import Interpolator, Path
from neuralmd.interpolators.splines import CubicHermite, Linear, NaturalCubicSpline
from neuralmd.system import System, Times

SYSTEM = System.from_atomic_numbers([1, 8])


class ConstantVelocity(Interpolator):
    """From the first anchor straight on, with its velocity: misses the second anchor."""

    needs_velocities: ClassVar[bool] = True

    def forward(self, anchors: Anchors, times: Times) -> Path:
        start = anchors.start
        positions = start.positions + times.reshape(-1, 1, 1, 1) * start.velocities
        return Path(positions, start.velocities.expand_as(positions))


def waves(frames: int = 401, timestep: float = 0.5, omega: float = 0.2) -> Trajectory:
    """All atoms on sines with phases of their own."""
    phase = np.arange(6).reshape(2, 3) + omega * timestep * np.arange(frames)[:, None, None]
    return Trajectory.uniform(SYSTEM, np.sin(phase), timestep, velocities=omega * np.cos(phase))


def windows(trajectory: Trajectory, stride: int = 10, starts: list[int] | None = None) -> Windows:
    each = [torch.arange(s.start, s.stop - stride, stride) for s in trajectory.segments]
    chosen = torch.cat(each) if starts is None else torch.tensor(starts, dtype=torch.int64)
    return Windows("waves", Frames.of(trajectory), chosen, stride, VelocitySource.STORED)


def parabola(frames: int = 81) -> Trajectory:
    """x = t^2 in all components, one fs from frame to frame: second differences of 2 everywhere."""
    times = np.arange(frames, dtype=float)[:, None, None] * np.ones((1, 2, 3))
    return Trajectory.uniform(SYSTEM, times**2, 1.0, velocities=2 * times)


def test_the_kink_of_lines_through_a_parabola() -> None:
    """Lines of slope (2 n + 1) K through n K: each anchor turns by 2 K, and the parabola's second difference is 2."""
    chosen = windows(parabola(), stride=8)
    kink = seam_kink(Linear(), chosen)
    speed = np.sqrt(np.mean(np.asarray(true_trajectory(chosen).velocities) ** 2))
    assert kink.velocity_jump == pytest.approx(16 / speed)
    assert kink.second_difference_ratio == pytest.approx(16 / 2)
    assert kink.second_difference_contrast is None
    assert kink.position_jump == pytest.approx(0.0, abs=1e-9)
    assert kink.anchors == 9


def test_a_path_that_is_exact_has_no_kink() -> None:
    kink = seam_kink(CubicHermite(), windows(parabola(), stride=8))
    assert kink.velocity_jump < 1e-12
    assert kink.second_difference_ratio == pytest.approx(1.0)
    assert kink.second_difference_contrast == pytest.approx(1.0)


def test_a_solution_that_never_sees_the_second_anchor_jumps() -> None:
    """x + v K falls short of (x + K)^2 by K^2, and its velocity by 2 K."""
    chosen = windows(parabola(), stride=8)
    kink = seam_kink(ConstantVelocity(), chosen)
    assert kink.position_jump == pytest.approx(64.0)
    speed = np.sqrt(np.mean(np.asarray(true_trajectory(chosen).velocities) ** 2))
    assert kink.velocity_jump == pytest.approx(16 / speed)
    # x(T + 1) - 2 x(T) + x(T - 1) = (T^2 + 2 T) - 2 T^2 + (T^2 - 2 T - K^2 + 2 K) = 2 K - K^2
    assert kink.second_difference_ratio == pytest.approx((64 - 16) / 2)
    assert kink.second_difference_contrast is None
    assert kink.to_dict()["anchors"] == 9


def test_splines_of_smooth_waves() -> None:
    chosen = windows(waves())
    line, spline, hermite = (seam_kink(method, chosen) for method in (Linear(), NaturalCubicSpline(), CubicHermite()))
    assert hermite.velocity_jump < 1e-12
    assert spline.velocity_jump < 1e-6
    assert 0.3 < line.velocity_jump < 1.5
    assert hermite.second_difference_ratio == pytest.approx(1.0, abs=0.1)
    assert line.second_difference_ratio > 5


def test_only_anchors_that_two_windows_share_are_seams() -> None:
    parts = concatenate([waves(45), waves(31, omega=0.3), waves(12)])
    chosen = windows(parts)
    assert chosen.starts.tolist() == [0, 10, 20, 30, 45, 55, 65, 76]
    assert seam_kink(Linear(), chosen).anchors == 5
    with pytest.raises(DataError, match="consecutive"):
        seam_kink(Linear(), windows(parts, starts=[0, 20]))


def test_a_rebuilt_trajectory_keeps_anchors_and_segments() -> None:
    parts = concatenate([waves(45), waves(31, omega=0.3), waves(12)])
    chosen = windows(parts)
    true, rebuilt, coarse = true_trajectory(chosen), rebuilt_trajectory(Linear(), chosen), coarse_trajectory(chosen)
    assert [s.length for s in true.segments] == [41, 31, 11] == [s.length for s in rebuilt.segments]
    assert [(s.length, s.timestep) for s in coarse.segments] == [(5, 5.0), (4, 5.0), (2, 5.0)]
    assert np.array_equal(true.positions[:41], parts.positions[:41])
    assert np.array_equal(true.positions[41:72], parts.positions[45:76])
    assert rebuilt.velocity_source == VelocitySource.RECONSTRUCTED
    anchors = [0, 10, 20, 30, 40, 41, 51, 61, 71, 72, 82]
    for given, made in ((true.positions, rebuilt.positions), (true.velocities, rebuilt.velocities)):
        assert given is not None
        assert made is not None
        assert np.array_equal(made[anchors], given[anchors])
        assert not np.allclose(made, given)
    assert rebuilt.positions[5] == pytest.approx((true.positions[0] + true.positions[10]) / 2)
    assert rebuilt.positions[46] == pytest.approx((true.positions[41] + true.positions[51]) / 2)
    assert coarse.positions == pytest.approx(true.positions[anchors])


def test_paths_have_both_ends_and_come_in_batches() -> None:
    chosen = windows(waves(1001), stride=5)
    seen: list[int] = []
    paths = gap_paths(CubicHermite(), chosen, seen.append)
    assert seen == [64, 128, 192, 200]
    assert paths.positions.shape == (6, 200, 2, 3)
    assert torch.equal(paths.positions[0], chosen.frames.positions[chosen.starts])
    assert paths.positions[-1].numpy() == pytest.approx(chosen.frames.positions[chosen.starts + 5].numpy())


def test_paths_tell_the_errors_of_their_hidden_frames() -> None:
    chosen = windows(waves(1001), stride=5)
    errors = gap_paths(CubicHermite(), chosen).errors()
    known = hidden_frame_errors(CubicHermite(), chosen.frames, chosen.starts, 5)
    for found, expected in ((errors.mae, known.mae), (errors.rmse, known.rmse)):
        assert found == pytest.approx(expected, rel=1e-9)
    assert errors.mae_per_position == pytest.approx(known.mae_per_position, rel=1e-9)
    assert errors.mae_per_element == pytest.approx(known.mae_per_element, rel=1e-9)
    assert errors.seconds_per_frame > 0


def test_windows_that_overlap_or_are_none() -> None:
    with pytest.raises(DataError, match="5 overlaps 10"):
        rebuilt_trajectory(Linear(), windows(waves(), starts=[0, 5]))
    with pytest.raises(DataError, match="stride 10"):
        rebuilt_trajectory(Linear(), windows(waves(), starts=[]))


def test_without_velocities() -> None:
    """A line needs none: positions are rebuilt, and only the kink has nothing to be measured against."""
    still = Trajectory.uniform(SYSTEM, waves().positions, 0.5)
    chosen = Windows(
        "waves", Frames.of(still, velocities_needed=False), torch.arange(0, 300, 10), 10, VelocitySource.STORED
    )
    rebuilt = rebuilt_trajectory(Linear(), chosen)
    assert rebuilt.velocities is None
    assert len(rebuilt) == 301
    with pytest.raises(DataError, match="lacks"):
        seam_kink(Linear(), chosen)


def test_a_truth_that_does_not_accelerate() -> None:
    times = np.arange(30, dtype=float)[:, None, None] * np.ones((1, 2, 3))
    straight = Trajectory.uniform(SYSTEM, times, 1.0, velocities=np.ones_like(times))
    with pytest.raises(DataError, match="straight"):
        seam_kink(Linear(), windows(straight))
