"""Seams: how much a rebuilt trajectory gives away where one gap ends and the next one starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.rebuild import GapPaths, gap_paths, true_trajectory
from neuralmd.interpolators.base import Interpolator

_STRAIGHT: Final = 1e-6
"""Second difference inside a gap, over that at the anchors, below which it is rounding."""


@dataclass(frozen=True)
class SeamKink:
    """Jumps at the anchors that two consecutive gaps share, each a root mean square over anchors, atoms and components.

    Attributes:
        velocity_jump: Of dx_hat/dt from the end of one gap to the start of the next, over the true velocity; 0 for a
            smooth path.
        second_difference_ratio: |x(t + dt) - 2 x(t) + x(t - dt)| of the rebuilt frames at anchors, over the same in the
            truth; 1 for a path like the true one.
        second_difference_contrast: The same of the rebuilt frames at anchors, over what it is inside the gaps; near 1
            where anchors cannot be told from other frames, none for straight lines, which have nothing inside.
        position_jump: Of x_hat from the end of one gap to the start of the next [A]; 0 for what meets both anchors.
        anchors: Number of anchors.
    """

    velocity_jump: float
    second_difference_ratio: float
    second_difference_contrast: float | None
    position_jump: float
    anchors: int

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def seam_kink(method: Interpolator, windows: Windows, advance: Callable[[int], None] | None = None) -> SeamKink:
    """Rebuild consecutive windows and measure the kinks at the anchors that they share.

    Raises:
        DataError: If no two windows share an anchor, windows overlap, or the truth has no velocities or runs straight.
        SolverError: If an ODE cannot be solved.
    """
    return kink_of(gap_paths(method, windows, advance))


def kink_of(paths: GapPaths) -> SeamKink:
    """The kinks of gaps that are rebuilt already; see `seam_kink`."""
    windows, x, v = paths.windows, paths.positions, paths.velocities
    after = 1 + torch.nonzero(windows.starts.cpu().diff() == windows.stride)[:, 0]
    before = after - 1
    if len(after) == 0:
        raise DataError("a seam is an anchor that two windows share, and no two of these do: give consecutive windows")
    anchors = windows.starts.cpu()[after]
    true = windows.frames.positions.cpu()
    curvature = _rms(true[anchors + 1] - 2 * true[anchors] + true[anchors - 1])
    if curvature == 0.0:
        raise DataError(f"kinks are measured against the true second differences, but {windows.source} runs straight")
    rebuilt = _rms(x[1, after] - 2 * true[anchors] + x[-2, before])
    usual = _rms(x[2:] - 2 * x[1:-1] + x[:-2])
    return SeamKink(
        velocity_jump=_rms(v[0, after] - v[-1, before]) / _rms_velocity(windows),
        second_difference_ratio=rebuilt / curvature,
        second_difference_contrast=rebuilt / usual if usual > _STRAIGHT * rebuilt else None,
        position_jump=_rms(x[0, after] - x[-1, before]),
        anchors=len(anchors),
    )


def _rms_velocity(windows: Windows) -> float:
    velocities = true_trajectory(windows).velocities
    speed = 0.0 if velocities is None else float(np.sqrt(np.mean(velocities**2)))
    if speed == 0.0:
        raise DataError(f"jumps in velocity are measured against the true velocities, which {windows.source} lacks")
    return speed


def _rms(jumps: Float[Tensor, "... atoms 3"]) -> float:
    return float(jumps.square().mean().sqrt())
