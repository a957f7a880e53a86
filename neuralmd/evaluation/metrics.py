"""Errors of an interpolator on hidden frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.data.windows import Frames, cut
from neuralmd.errors import DataError
from neuralmd.interpolators.base import Interpolator, Path
from neuralmd.interpolators.batches import gaps_at_once, in_batches


@dataclass(frozen=True)
class HiddenFrameErrors:
    """How far the rebuilt positions are from the true ones, over hidden frames only (anchors would deflate it).

    Attributes:
        mae: Mean of |x_hat - x| over windows, hidden frames, atoms and components [A].
        rmse: Root of the mean of (x_hat - x)^2 over the same [A].
        mae_per_element: The mean for each element [A].
        mae_per_position: The mean for each position in the gap, from the first hidden frame to the last [A].
        worst_window_mae: The mean of the worst window [A].
        seconds_per_frame: Wall-clock time for one rebuilt frame [s].
        coverage: Part of all components that lie within their error bar; none for a method without error bars.
        coverage_per_position: The part for each position in the gap.
        error_bar: Mean half-width of the error bars [A].
    """

    mae: float
    rmse: float
    mae_per_element: dict[str, float]
    mae_per_position: list[float]
    worst_window_mae: float
    seconds_per_frame: float
    coverage: float | None = None
    coverage_per_position: list[float] | None = None
    error_bar: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


@torch.no_grad()
def hidden_frame_errors(
    interpolator: Interpolator,
    frames: Frames,
    starts: Int[Tensor, " windows"],
    stride: int,
    batch_size: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> HiddenFrameErrors:
    """Rebuild the hidden frames of the windows and compare them with the true ones.

    Args:
        interpolator: What rebuilds; its parameters' precision is used, or else double.
        frames: The fine trajectory.
        starts: First anchor of each window.
        stride: Frames from anchor to anchor.
        batch_size: Windows rebuilt at once; none for what is fast and fits into memory.
        advance: Called with the number of windows done.

    Raises:
        DataError: If there is no window.
        SolverError: If an ODE cannot be solved.
    """
    if len(starts) == 0:
        raise DataError(f"no window of stride {stride} fits: lower the stride or give more frames")
    dtype = next((parameter.dtype for parameter in interpolator.parameters()), torch.float64)
    errors, bars, seconds = [], [], 0.0

    def fill(some: Int[Tensor, " some"]) -> Path:
        nonlocal seconds
        window = cut(frames, some, stride, dtype, interpolator.context, interpolator.boundary_frames)
        began = time.perf_counter()
        path = interpolator(window.anchors, window.times)
        seconds += time.perf_counter() - began
        return replace(path, positions=path.positions - window.hidden)

    size = batch_size or gaps_at_once(interpolator, frames.system.atoms, stride)
    for _, path in in_batches(starts, size, fill):
        errors.append(path.positions.double().cpu())
        if path.error_bars is not None:
            bars.append(path.error_bars.double().cpu())
        if advance is not None:
            advance(sum(part.shape[1] for part in errors))
    summary = summarise(torch.cat(errors, dim=1), frames.system.symbols, seconds)
    return _with_coverage(summary, torch.cat(errors, dim=1), torch.cat(bars, dim=1)) if bars else summary


def _with_coverage(
    summary: HiddenFrameErrors, errors: Float[Tensor, "time window atoms 3"], bars: Float[Tensor, "time window atoms"]
) -> HiddenFrameErrors:
    inside = (errors.abs() <= bars[..., None]).double()
    return replace(
        summary,
        coverage=float(inside.mean()),
        coverage_per_position=inside.mean((1, 2, 3)).tolist(),
        error_bar=float(bars.mean()),
    )


def summarise(errors: Float[Tensor, "time window atoms 3"], symbols: list[str], seconds: float) -> HiddenFrameErrors:
    """The errors of frames that are rebuilt already.

    Args:
        errors: x_hat - x of the hidden frames [A].
        symbols: Element of each atom.
        seconds: What it took to rebuild them all [s].
    """
    absolute = errors.abs()
    per_atom = absolute.mean((0, 1, 3))
    return HiddenFrameErrors(
        mae=float(absolute.mean()),
        rmse=float(errors.square().mean().sqrt()),
        mae_per_element={
            element: float(per_atom[[symbol == element for symbol in symbols]].mean())
            for element in sorted(set(symbols))
        },
        mae_per_position=absolute.mean((1, 2, 3)).tolist(),
        worst_window_mae=float(absolute.mean((0, 2, 3)).max()),
        seconds_per_frame=seconds / (errors.shape[0] * errors.shape[1]),
    )
