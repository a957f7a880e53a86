"""What a field is fitted to: how exact each difference is, which frames it reads, and forces in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import MorseField, triangle

from neuralmd.data.derivatives import Difference, difference_samples, force_samples
from neuralmd.data.trajectory import (
    Segment,
    Trajectory,
    VelocitySource,
    with_central_velocities,
    with_seven_point_velocities,
)
from neuralmd.data.windows import Frames, Part
from neuralmd.errors import DataError
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import BlanesMoan
from neuralmd.system import PhaseState, System

SYSTEM = System(np.array([1, 1, 1]), np.ones(3))
FIELD = MorseField()


def stored(every: float, frames: int = 60) -> Frames:
    """Three atoms on Morse springs, integrated to rounding and stored every so many fs; the period is 11 fs."""
    times = every * torch.arange(frames, dtype=torch.float64)
    with torch.no_grad():
        path = solve(FIELD, triangle(1), times, BlanesMoan(0.05))
    positions, velocities = path.positions[:, 0].numpy(), path.velocities[:, 0].numpy()
    return Frames.of(Trajectory.uniform(SYSTEM, positions, every, velocities=velocities))


COARSE, FINE = stored(0.6), stored(0.3, 120)


def slip(frames: Frames, difference: Difference) -> float:
    """Root mean square of the exact field's residual over that of the accelerations."""
    samples = difference_samples(frames, Part((range(len(frames.positions)),)), difference)
    with torch.no_grad():
        found = FIELD(PhaseState(samples.positions, samples.velocities))
        if samples.before is not None and samples.after is not None:
            found = (FIELD(samples.before) + 10.0 * found + FIELD(samples.after)) / 12.0
    return float((found - samples.accelerations).square().mean().sqrt() / found.square().mean().sqrt())


@pytest.mark.parametrize(
    ("difference", "order", "size"),
    [(Difference.VERLET, 2, 1.6e-2), (Difference.NUMEROV, 4, 4e-4), (Difference.SEVEN_POINT, 6, 1.7e-4)],
)
def test_differences_of_thinned_frames_are_as_exact_as_they_say(
    difference: Difference, order: int, size: float
) -> None:
    fine, coarse = slip(FINE, difference), slip(COARSE, difference)
    assert np.log2(coarse / fine) == pytest.approx(order, abs=0.5)
    assert coarse == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize(("difference", "reach"), [(Difference.SEVEN_POINT, 3), (Difference.NUMEROV, 1)])
def test_differences_stay_within_the_part(difference: Difference, reach: int) -> None:
    part = Part((range(5, 15), range(20, 40), range(50, 50 + 2 * reach)))
    samples = difference_samples(COARSE, part, difference)
    assert len(samples.positions) == 30 - 4 * reach
    assert torch.equal(samples.positions[0], COARSE.positions[5 + reach])
    outside = [index for index in range(60) if not any(index in stretch for stretch in part.ranges[:2])]
    altered = COARSE.positions.clone()
    altered[outside] += 100.0
    again = difference_samples(replace(COARSE, positions=altered), part, difference)
    assert torch.equal(again.accelerations, samples.accelerations)
    if samples.before is not None and again.before is not None:
        assert torch.equal(samples.before.positions, again.before.positions)
        assert torch.equal(samples.before.positions[0], COARSE.positions[4 + reach])
    with pytest.raises(DataError, match=f"nowhere {2 * reach + 1} frames in a row"):
        difference_samples(COARSE, Part((range(2 * reach),)), difference)


def test_forces_are_taken_from_every_frame_of_the_part() -> None:
    part = Part((range(3, 7), range(10, 12)))
    with pytest.raises(DataError, match=r"holds no forces, but training\.stages has target: forces") as caught:
        force_samples(COARSE, part)
    assert "\n" not in str(caught.value)
    forced = replace(COARSE, accelerations=torch.rand_like(COARSE.positions))
    assert forced.accelerations is not None
    samples = force_samples(forced, part)
    assert torch.equal(samples.accelerations, forced.accelerations[[3, 4, 5, 6, 10, 11]])


@pytest.mark.parametrize("every", [0.3, 0.6])
def test_velocities_from_seven_frames_are_far_nearer_to_the_true_ones_than_central_differences(every: float) -> None:
    frames = COARSE if every == 0.6 else FINE
    whole = Trajectory.uniform(SYSTEM, frames.positions.numpy(), every)
    true, error = frames.velocities.numpy(), {}
    for name, found, lost in (
        ("central", with_central_velocities(whole), 1),
        ("seven", with_seven_point_velocities(whole), 3),
    ):
        assert len(found) == len(true) - 2 * lost
        assert found.velocities is not None
        error[name] = np.abs(found.velocities - true[lost:-lost]).max() / np.abs(true).max()
    assert error["seven"] < 0.06 * error["central"]


def test_velocities_from_seven_frames_are_declared_and_lose_three_frames_at_each_end_of_a_segment() -> None:
    positions = np.arange(17.0)[:, None, None] * np.ones((17, 3, 3))
    whole = Trajectory(SYSTEM, positions, (Segment(0, 8, 0.5), Segment(8, 9, 1.0)))
    found = with_seven_point_velocities(whole)
    assert found.velocity_source is VelocitySource.SEVEN_POINT
    assert [segment.length for segment in found.segments] == [2, 3]
    assert found.positions[:, 0, 0].tolist() == [3.0, 4.0, 11.0, 12.0, 13.0]
    assert found.velocities is not None
    np.testing.assert_allclose(found.velocities[:, 0, 0], [2.0, 2.0, 1.0, 1.0, 1.0], rtol=1e-12)
    with pytest.raises(DataError, match="seven frames in a row, but a segment has 6"):
        with_seven_point_velocities(whole.slice(0, 6))
