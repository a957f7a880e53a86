"""Parts, windows and second differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from neuralmd.data.trajectory import Segment, Trajectory, with_central_velocities
from neuralmd.data.windows import Frames, Part, cut, derivative_samples, split
from neuralmd.errors import DataError
from neuralmd.interpolators.splines import NaturalCubicSpline
from neuralmd.system import System

HYDROGEN = System.from_atomic_numbers([1, 1])


def numbered(lengths: list[int], timestep: float = 0.5) -> Trajectory:
    """Frames that carry their own index as position."""
    segments, start = [], 0
    for length in lengths:
        segments.append(Segment(start, length, timestep))
        start += length
    positions = np.broadcast_to(np.arange(start, dtype=float)[:, None, None], (start, 2, 3)).copy()
    return Trajectory(HYDROGEN, positions, tuple(segments), velocities=positions + 0.25, forces=positions)


@given(
    lengths=st.lists(st.integers(30, 400), min_size=1, max_size=4),
    train=st.floats(0.3, 0.7),
    validation=st.floats(0.1, 0.25),
    purge=st.integers(0, 5),
)
def test_parts_are_apart_in_time_order_and_within_segments(
    lengths: list[int], train: float, validation: float, purge: int
) -> None:
    segments = numbered(lengths).segments
    parts = split(segments, train, validation, purge)
    for segment, first, second, third in zip(
        segments, parts.train.ranges, parts.validation.ranges, parts.test.ranges, strict=True
    ):
        assert segment.start == first.start
        assert first.stop + purge == second.start
        assert second.stop + purge == third.start
        assert third.stop == segment.stop
        assert abs(len(first) - train * (segment.length - 2 * purge)) <= 1


def test_a_segment_too_short_for_three_parts_is_left_out_and_all_such_are_refused() -> None:
    segments = numbered([1000, 150]).segments
    assert len(split(segments, purge=100).train.ranges) == 1
    with pytest.raises(DataError, match="purge"):
        split(segments[1:], purge=100)


def test_the_first_frames_of_a_part_are_those_of_its_first_stretches() -> None:
    part = Part((range(10, 14), range(20, 26)))
    assert [part.first(count).ranges for count in (3, 4, 6, 99)] == [
        (range(10, 13),),
        (range(10, 14),),
        (range(10, 14), range(20, 22)),
        part.ranges,
    ]


@given(stride=st.integers(2, 20), spacing=st.integers(1, 20))
def test_windows_stay_within_their_stretch(stride: int, spacing: int) -> None:
    part = Part((range(10, 60), range(70, 85)))
    for start in part.starts(stride, spacing).tolist():
        assert any(start in stretch and start + stride in stretch for stretch in part.ranges)
    expected = sum(max(0, -(-(len(r) - stride) // spacing)) for r in part.ranges)
    assert len(part.starts(stride, spacing)) == expected


def test_window_holds_the_frames_that_it_names() -> None:
    frames = Frames.of(numbered([50]))
    window = cut(frames, torch.tensor([3, 20]), 5, torch.float64)
    assert window.anchors.gap == 2.5
    assert window.anchors.start.positions[:, 0, 0].tolist() == [3.0, 20.0]
    assert window.anchors.end.positions[:, 0, 0].tolist() == [8.0, 25.0]
    assert window.anchors.start.velocities[:, 0, 0].tolist() == [3.25, 20.25]
    assert window.hidden[:, 1, 0, 0].tolist() == [21.0, 22.0, 23.0, 24.0]
    assert window.times.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert frames.accelerations is not None


@pytest.mark.parametrize("start", [0, 10, 40, 90])
def test_spline_of_a_window_is_the_natural_spline_of_the_whole_series(start: int) -> None:
    """The context goes on by odd reflection at both ends of a segment, which is the natural boundary condition."""
    stride, rng = 5, np.random.default_rng(0)
    before = rng.normal(size=(30, 2, 3))
    positions = rng.normal(size=(106, 2, 3)).cumsum(axis=0) * 0.1
    whole = Trajectory(
        HYDROGEN,
        np.concatenate((before, positions)),
        (Segment(0, 30, 0.5), Segment(30, 106, 0.5)),
        np.zeros((136, 2, 3)),
    )
    spline = NaturalCubicSpline()
    window = cut(Frames.of(whole), torch.tensor([30 + start]), stride, torch.float64, spline.context)
    path = spline(window.anchors, window.times)
    knots = np.arange(0, 106, stride)
    reference = CubicSpline(knots, positions[knots], bc_type="natural")
    expected = reference(np.arange(start + 1, start + stride))
    assert np.abs(path.positions[:, 0].numpy() - expected).max() < 1e-6


def test_second_differences_are_those_of_verlet_and_stay_within_the_part() -> None:
    rng = np.random.default_rng(1)
    positions = rng.normal(size=(40, 2, 3))
    whole = Trajectory.uniform(HYDROGEN, positions, 0.5, velocities=positions)
    samples = derivative_samples(Frames.of(whole), Part((range(5, 15), range(20, 30))))
    assert len(samples.positions) == 16
    expected = (positions[7] - 2 * positions[6] + positions[5]) / 0.25
    assert np.allclose(samples.accelerations[0], expected)
    altered = positions.copy()
    altered[[4, 15, 16, 19, 30]] += 100.0
    again = derivative_samples(
        Frames.of(Trajectory.uniform(HYDROGEN, altered, 0.5, velocities=altered)), Part((range(5, 15), range(20, 30)))
    )
    assert torch.equal(again.accelerations, samples.accelerations)


def test_missing_velocities_are_refused_with_the_way_out() -> None:
    bare = Trajectory.uniform(HYDROGEN, np.zeros((10, 2, 3)), 0.5)
    with pytest.raises(DataError, match=r"central.*linear, cubic_spline"):
        Frames.of(bare)
    assert torch.isnan(Frames.of(bare, velocities_needed=False).velocities).all()
    assert with_central_velocities(bare).velocity_source == "central"
