"""Consecutive gaps of a coarse trajectory, filled by a method and woven with their anchors."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames, cut
from neuralmd.interpolators.base import Interpolator, Path
from neuralmd.interpolators.batches import gaps_at_once, in_batches, joined


@torch.no_grad()
def path_through(method: Interpolator, known: Trajectory, gaps: range, stride: int, at_once: int | None = None) -> Path:
    """The path through gaps at the times of their hidden frames.

    Args:
        method: What fills the gaps.
        known: Coarse frames of one segment, with those around the gaps that the method wants to see.
        gaps: The frames of it at which the gaps begin.
        stride: Frames from one anchor to the next in what comes out.
        at_once: How many gaps are filled together; none for `gaps_at_once`. Rounding depends on it.

    Raises:
        DataError: If the method lacks something.
        SolverError: If an ODE cannot be solved.
    """
    parameter = next(method.parameters(), torch.zeros((), dtype=torch.float64))
    frames = Frames.of(known, parameter.device, velocities_needed=method.needs_velocities)

    def through(some: Int[torch.Tensor, " some"]) -> Path:
        anchors = cut(frames, some, 1, parameter.dtype, method.context).anchors
        times = torch.arange(1, stride, dtype=parameter.dtype, device=parameter.device) * (anchors.gap / stride)
        return method(anchors, times)

    size = at_once or gaps_at_once(method, known.system.atoms, stride)
    return joined([path for _, path in in_batches(torch.arange(gaps.start, gaps.stop), size, through)])


def weave(
    anchors: Float[np.ndarray, "gaps atoms 3"], hidden: Float[torch.Tensor, "time gaps atoms 3"]
) -> Float[np.ndarray, "frames atoms 3"]:
    """Each gap's first anchor followed by its hidden frames."""
    rebuilt = hidden.double().cpu().numpy().transpose(1, 0, 2, 3)
    return np.concatenate((anchors[:, None], rebuilt), axis=1).reshape(-1, *anchors.shape[1:])
