"""How many gaps are filled at once, and what happens where they do not fit."""

from __future__ import annotations

from pathlib import Path as FilePath

import numpy as np
import pytest
import torch
from analytic import HarmonicField
from torch import Tensor, nn

from neuralmd.data.anchors import Anchors
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.data.windows import Frames
from neuralmd.errors import SolverError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators import batches
from neuralmd.interpolators.base import Friction, Interpolator, Path
from neuralmd.interpolators.batches import free_memory, gaps_at_once, in_batches, joined
from neuralmd.interpolators.splines import CubicHermite
from neuralmd.interpolators.watching import Watch, fill_watched
from neuralmd.system import PhaseState, System, Times

SMALL = 6
"""Gaps that fit into the memory of `Forgetful`."""


class Forgetful(Interpolator):
    """Cubic Hermite on a device whose memory ends where there are many gaps at once."""

    def __init__(self, most: int = SMALL) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.spline, self.most, self.sizes = CubicHermite(), most, []

    def forward(self, anchors: Anchors, times: Times) -> Path:
        self.sizes.append(len(anchors.start.positions))
        if self.sizes[-1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.spline(anchors, times)


def oscillation(frames: int = 101) -> Trajectory:
    field, system = HarmonicField(), System.from_atomic_numbers([1, 8])
    start = PhaseState(torch.randn(1, 2, 3, dtype=torch.float64), torch.zeros(1, 2, 3, dtype=torch.float64))
    states = [field.exact(start, 0.5 * frame) for frame in range(frames)]
    positions, velocities = (
        torch.cat(each).detach().numpy() for each in zip(*[(s.positions, s.velocities) for s in states], strict=True)
    )
    return Trajectory.uniform(system, positions, 0.5, velocities=velocities, velocity_source=VelocitySource.STORED)


def test_a_size_is_chosen_by_the_system_and_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    method = CubicHermite()
    assert gaps_at_once(method, 12, 20) == batches.MOST["cpu"]
    assert gaps_at_once(method, 1000, 20) == 5
    assert gaps_at_once(method, 10**6, 20) == 1
    monkeypatch.setattr(batches, "free_memory", lambda device: 10**7)
    assert gaps_at_once(method, 12, 20) == 5_000_000 // (12 * 76_000)
    assert gaps_at_once(method, 12, 2000) == 1
    assert gaps_at_once(method, 1000, 20) == 1
    monkeypatch.setattr(batches, "free_memory", lambda device: None)
    assert gaps_at_once(method, 12, 20) == batches.MOST["cpu"]
    method.at_once = 7
    assert gaps_at_once(method, 10**6, 10**6) == 7


def test_free_memory_is_read_where_the_system_tells() -> None:
    free = free_memory(torch.device("cpu"))
    assert (free is not None and 2**20 < free < 2**50) == FilePath("/proc/meminfo").is_file()


def test_batches_are_halved_until_they_fit_and_nothing_is_lost() -> None:
    seen: list[int] = []

    def through(some: Tensor) -> Path:
        seen.append(len(some))
        if len(some) > SMALL:
            raise torch.OutOfMemoryError("CUDA out of memory")
        values = some.double()[None, :, None, None].expand(2, -1, 3, 3)
        return Path(values, -values)

    starts = torch.arange(5, 45)
    parts = list(in_batches(starts, 25, through))
    assert seen == [25, 12, 6, 6, 6, 6, 6, 6, 4]
    assert torch.equal(torch.cat([some for some, _ in parts]), starts)
    whole = joined([path for _, path in parts])
    assert torch.equal(whole.positions[0, :, 0, 0], starts.double())
    assert torch.equal(whole.velocities, -whole.positions)
    assert whole.error_bars is None


def test_a_gap_that_never_fits_is_a_solver_error() -> None:
    def through(some: Tensor) -> Path:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(SolverError, match="one gap alone"):
        list(in_batches(torch.arange(3), 2, through))


def test_all_that_a_path_holds_is_joined() -> None:
    def path(gaps: int, value: float) -> Path:
        curves = torch.full((4, gaps, 2, 3), value)
        friction = Friction(torch.arange(5.0), torch.full((5, gaps), value), torch.full((5, gaps), value))
        return Path(curves, curves, curves, curves[..., 0], curves[..., 0, 0], friction)

    whole = joined([path(2, 1.0), path(3, 2.0)])
    for part in (whole.positions, whole.velocities, whole.accelerations, whole.error_bars, whole.frame_error_bars):
        assert part is not None
        assert part.shape[:2] == (4, 5)
        assert part[0, 1].max() == 1.0
        assert part[0, 2].min() == 2.0
    assert whole.friction is not None
    assert whole.friction.rate.shape == whole.friction.spread.shape == (5, 5)
    assert torch.equal(whole.friction.times, torch.arange(5.0))


def test_reconstruction_and_evaluation_go_on_where_memory_ends() -> None:
    torch.manual_seed(0)
    motion = oscillation()
    coarse = Trajectory.uniform(
        motion.system,
        motion.positions[::5],
        2.5,
        velocities=motion.velocities[::5],
        velocity_source=VelocitySource.STORED,
    )
    short, long = Forgetful(), Forgetful(10**6)
    filled = [fill_watched(method, coarse, range(20), 5, Watch()) for method in (short, long)]
    np.testing.assert_array_equal(filled[0].positions, filled[1].positions)
    np.testing.assert_array_equal(filled[0].velocities, filled[1].velocities)
    assert short.sizes == [20, 10, 5, 5, 5, 5]
    assert long.sizes == [20]
    frames, starts = Frames.of(motion, torch.device("cpu")), torch.arange(0, 95, 5)
    errors = [hidden_frame_errors(method, frames, starts, 5) for method in (Forgetful(), Forgetful(10**6))]
    assert errors[0].mae == errors[1].mae > 0
    chosen = Forgetful()
    hidden_frame_errors(chosen, frames, starts, 5, batch_size=4)
    assert chosen.sizes == [4, 4, 4, 4, 3]
