"""The steps of a fixed-step solver: a uniform grid that the query times lie on where they can."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.system import Times

_SLACK = 1e-5
"""Part of a step that counts as rounding: query times often come as float32."""


def count_steps(span: float, step: float) -> int:
    """Number of equal steps over a span, each at most `step` long but for rounding; both in fs."""
    return max(1, math.ceil(span / step - _SLACK))


def uniform_grid(times: Times, step: float) -> Float[Tensor, " grid"]:
    """The grid of equal steps, each at most `step` long, from the first query time to the last.

    t_i = t_0 + i (t_last - t_0) / n,  n = ceil(|t_last - t_0| / step)

    A grid time that differs from a query time by rounding only becomes that query time, bit for bit, so that no
    interpolation is needed there.

    Args:
        times: Query times in float64, increasing or decreasing [fs].
        step: Upper bound of the steps [fs].
    """
    span = float(times[-1] - times[0])
    steps = count_steps(abs(span), step)
    index = torch.arange(steps + 1, dtype=times.dtype, device=times.device)
    grid = times[0] + index * (span / steps)
    nearest = ((times - times[0]) / (span / steps)).round().long().clamp(0, steps)
    close = (times - grid[nearest]).abs() <= _SLACK * abs(span) / steps
    grid[nearest[close]] = times[close]
    grid[0], grid[-1] = times[0], times[-1]
    return grid
