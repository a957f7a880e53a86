"""Errors on hidden frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames
from neuralmd.errors import DataError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.splines import CubicHermite, Linear
from neuralmd.system import System


def parabola(frames: int = 41) -> Frames:
    """Hydrogen on x = t^2 and oxygen at rest, 1 fs from frame to frame."""
    times = np.arange(frames, dtype=float)
    positions = np.zeros((frames, 2, 3))
    positions[:, 0, 0] = times**2
    velocities = np.zeros_like(positions)
    velocities[:, 0, 0] = 2 * times
    return Frames.of(Trajectory.uniform(System.from_atomic_numbers([1, 8]), positions, 1.0, velocities=velocities))


def test_errors_of_a_line_through_a_parabola() -> None:
    """The line is off by (t - t0) (t1 - t): 3, 4, 3 in a gap of four steps, in one of six components."""
    errors = hidden_frame_errors(Linear(), parabola(), torch.arange(0, 37, 4), 4, batch_size=3)
    assert errors.mae == pytest.approx((3 + 4 + 3) / 3 / 6)
    assert errors.rmse == pytest.approx(((9 + 16 + 9) / 3 / 6) ** 0.5)
    assert errors.mae_per_element == pytest.approx({"H": 10 / 9, "O": 0.0})
    assert errors.mae_per_position == pytest.approx([0.5, 4 / 6, 0.5])
    assert errors.worst_window_mae == pytest.approx(errors.mae)


def test_a_method_that_is_exact_has_no_error_and_anchors_do_not_count() -> None:
    assert hidden_frame_errors(CubicHermite(), parabola(), torch.tensor([0, 5]), 5).mae < 1e-12


def test_progress_and_no_windows() -> None:
    seen: list[int] = []
    hidden_frame_errors(Linear(), parabola(), torch.arange(0, 20, 2), 2, batch_size=4, advance=seen.append)
    assert seen == [4, 8, 10]
    with pytest.raises(DataError, match="stride 50"):
        hidden_frame_errors(Linear(), parabola(), torch.tensor([], dtype=torch.int64), 50)
