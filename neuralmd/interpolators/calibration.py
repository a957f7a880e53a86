"""Calibration of a bidirectional neural ODE's error bars on windows whose hidden frames are known."""

from __future__ import annotations

import torch

from neuralmd.data.windows import Frames, Part, cut
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.error_bars import Residuals

_WINDOWS = 1024
_WINDOWS_AT_ONCE = 64


@torch.no_grad()
def calibrate_error_bars(model: BidirectionalODE, frames: Frames, part: Part) -> None:
    """Calibrate the error bars of a model, if it has some, on a part that it was not trained on.

    A stride of which the part has too few windows is left out: its gaps get no error bars.

    Args:
        model: The model, with its correction fitted.
        frames: The fine trajectory.
        part: Where the windows are; they overlap.

    Raises:
        SolverError: If an ODE cannot be solved.
    """
    bars = model.error_bars
    if bars is None:
        return
    # Bars of an earlier calibration would be computed on the way.
    model.error_bars = None
    dtype = bars.dtype
    try:
        for stride in bars.strides:
            starts = part.starts(stride)
            if len(starts) < bars.fewest_windows:
                continue
            chosen = starts[torch.linspace(0, len(starts) - 1, min(len(starts), _WINDOWS)).long()]
            errors, apart = [], []
            for some in chosen.split(_WINDOWS_AT_ONCE):
                window = cut(frames, some, stride, dtype)
                forward, backward = model.solutions(window.anchors, window.times)
                errors.append(model(window.anchors, window.times).positions - window.hidden)
                apart.append(backward.positions - forward.positions)
            bars.calibrate(stride, Residuals(torch.cat(errors, 1), torch.cat(apart, 1)))
    finally:
        model.error_bars = bars
