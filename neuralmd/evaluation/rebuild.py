"""The fine trajectory that a method makes of consecutive windows: what spectra, seams and figures look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource, concatenate
from neuralmd.data.windows import cut
from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.metrics import HiddenFrameErrors, summarise
from neuralmd.interpolators.base import Interpolator, Path
from neuralmd.interpolators.batches import gaps_at_once, in_batches

Gaps = Float[Tensor, "step window atoms 3"]
"""A quantity along every gap, both ends included: step 0 is the first anchor's time and step K the second's."""


@dataclass(frozen=True, eq=False)
class GapPaths:
    """What a method makes of all gaps, with the path's own values at the anchors' times.

    Attributes:
        windows: The gaps.
        positions: x_hat(t) [A] in double precision, on the CPU.
        velocities: dx_hat/dt [A/fs], the same.
        seconds: What it took to rebuild them, wall-clock time [s].
    """

    windows: Windows
    positions: Gaps
    velocities: Gaps
    seconds: float

    def errors(self) -> HiddenFrameErrors:
        """How far the hidden frames are from the true ones."""
        frames, stride = self.windows.frames, self.windows.stride
        hidden = torch.arange(1, stride, device=self.windows.starts.device)[:, None] + self.windows.starts
        true = frames.positions[hidden.to(frames.positions.device)].double().cpu()
        return summarise(self.positions[1:-1] - true, frames.system.symbols, self.seconds)

    def trajectory(self) -> Trajectory:
        """The rebuilt frames between anchors that are as they were: what `reconstruct` writes to a file.

        A segment ends where the next window does not begin with the last one's second anchor.
        """
        true = true_trajectory(self.windows)
        positions, velocities = true.positions.copy(), None if true.velocities is None else true.velocities.copy()
        stride = self.windows.stride
        for window, row in enumerate(_rows(self.windows)):
            hidden = slice(row + 1, row + stride)
            positions[hidden] = self.positions[1:-1, window].numpy()
            if velocities is not None:
                velocities[hidden] = self.velocities[1:-1, window].numpy()
        return replace(
            true, positions=positions, velocities=velocities, velocity_source=VelocitySource.RECONSTRUCTED, forces=None
        )


@torch.no_grad()
def gap_paths(method: Interpolator, windows: Windows, advance: Callable[[int], None] | None = None) -> GapPaths:
    """Rebuild all gaps, at the times of the hidden frames and of both anchors.

    Args:
        method: What rebuilds; its parameters' precision is used, or else double.
        windows: The gaps.
        advance: Called with the number of windows done.

    Raises:
        DataError: If there is no window.
        SolverError: If an ODE cannot be solved.
    """
    if len(windows.starts) == 0:
        raise DataError(f"no window of stride {windows.stride} fits: lower the stride or give more frames")
    dtype = next((parameter.dtype for parameter in method.parameters()), torch.float64)
    positions, velocities, done, seconds = [], [], 0, 0.0

    def fill(some: Int[Tensor, " some"]) -> Path:
        nonlocal seconds
        window = cut(windows.frames, some, windows.stride, dtype, method.context, method.boundary_frames)
        ends = torch.tensor([0.0, window.anchors.gap], dtype=dtype, device=window.times.device)
        times = torch.cat((ends[:1], window.times, ends[1:]))
        began = time.perf_counter()
        path = method(window.anchors, times)
        seconds += time.perf_counter() - began
        return path

    size = gaps_at_once(method, windows.frames.system.atoms, windows.stride)
    for chosen, path in in_batches(windows.starts, size, fill):
        positions.append(path.positions.double().cpu())
        velocities.append(path.velocities.double().cpu())
        done += len(chosen)
        if advance is not None:
            advance(done)
    return GapPaths(windows, torch.cat(positions, dim=1), torch.cat(velocities, dim=1), seconds)


def rebuilt_trajectory(
    method: Interpolator, windows: Windows, advance: Callable[[int], None] | None = None
) -> Trajectory:
    """The fine trajectory that a method makes of consecutive windows; see `GapPaths.trajectory` and `gap_paths`.

    Raises:
        DataError: If there is no window, or windows overlap.
        SolverError: If an ODE cannot be solved.
    """
    return gap_paths(method, windows, advance).trajectory()


def true_trajectory(windows: Windows) -> Trajectory:
    """The frames that the windows span, as they truly are, in one segment for each run of consecutive windows.

    Raises:
        DataError: If there is no window, or windows overlap.
    """
    frames, dt = windows.frames, windows.frames.timestep
    index = torch.cat([torch.arange(run.start, run.stop) for run in _runs(windows)]).to(frames.positions.device)
    segments, start = [], 0
    for run in _runs(windows):
        segments.append(Segment(start, len(run), dt))
        start += len(run)
    velocities = frames.velocities[index].cpu().numpy()
    return Trajectory(
        frames.system,
        frames.positions[index].cpu().numpy(),
        tuple(segments),
        velocities if bool(np.isfinite(velocities).all()) else None,
        windows.velocity_source if bool(np.isfinite(velocities).all()) else None,
    )


def coarse_trajectory(windows: Windows) -> Trajectory:
    """The anchors alone: the trajectory as it was before the hidden frames were rebuilt."""
    return concatenate([run.slice(0, len(run), windows.stride) for run in true_trajectory(windows).split()])


def _runs(windows: Windows) -> list[range]:
    """The frames of each run of consecutive windows, from its first anchor to its last."""
    starts, stride = windows.starts.tolist(), windows.stride
    if not starts:
        raise DataError(f"no window of stride {stride} fits: lower the stride or give more frames")
    runs = [range(starts[0], starts[0] + stride + 1)]
    for start in starts[1:]:
        last = runs[-1].stop - 1
        if start < last:
            raise DataError(f"a trajectory is rebuilt from windows that follow each other, but {start} overlaps {last}")
        if start == last:
            runs[-1] = range(runs[-1].start, start + stride + 1)
        else:
            runs.append(range(start, start + stride + 1))
    return runs


def _rows(windows: Windows) -> list[int]:
    """Where in the rebuilt trajectory each window begins."""
    rows, before = [], 0
    for run in _runs(windows):
        rows += range(before, before + len(run) - 1, windows.stride)
        before += len(run)
    return rows
