"""What is fitted to windows whose hidden frames are known, after a training: the correction, then the error bars."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from neuralmd.data.windows import Frames, Part, cut, spread
from neuralmd.errors import DataError
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.batches import gaps_at_once
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.correction import MismatchCorrection, NormalEquations
from neuralmd.interpolators.error_bars import Guesses, Residuals
from neuralmd.interpolators.shooting import Dynamics, infer_velocities

_FITTED_WINDOWS = 1024
_SHIFTS = 4
"""First frames of coarse trajectories, of which each is inferred by itself."""
_WINDOWS = 1024


@torch.no_grad()
def fit_correction(model: BidirectionalODE, frames: Frames, part: Part) -> None:
    """Fit the least-squares correction of a model, if it has one, to windows of the training part, by least squares.

    Raises:
        DataError: If the part has no window of a gap that is to be fitted.
        SolverError: If an ODE cannot be solved.
    """
    correction = model.correction
    if not isinstance(correction, MismatchCorrection):
        return
    dtype = correction.coefficients.dtype
    for index, gap in enumerate(correction.gaps.tolist()):
        stride = round(gap / frames.timestep)
        starts = part.starts(stride)
        if len(starts) == 0:
            raise DataError(f"the training part has no window of stride {stride} to fit the correction to")
        chosen = spread(starts, _FITTED_WINDOWS)
        equations = NormalEquations(correction, index, frames.timestep)
        for some in chosen.split(gaps_at_once(model, frames.system.atoms, stride)):
            window = cut(frames, some, stride, dtype)
            found = model.uncorrected(window.anchors, window.times)
            if found.for_correction is not None:
                missing = Path(window.hidden - found.path.positions, window.hidden_velocities - found.path.velocities)
                equations.add(found.for_correction, model.accelerations(found.both), missing)
        equations.solve()


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
    for stride in bars.strides:
        starts = part.starts(stride)
        if len(starts) < bars.fewest_windows:
            continue
        chosen = spread(starts, _WINDOWS)
        errors, guesses = [], []
        for some in chosen.split(gaps_at_once(model, frames.system.atoms, stride)):
            window = cut(frames, some, stride, bars.dtype)
            found = model.uncorrected(window.anchors, window.times, reach=1.0)
            errors.append(model.corrected(found).positions - window.hidden)
            guesses.append(model.guesses(found))
        bars.calibrate(
            stride, Residuals(torch.cat(errors, 1), Guesses.joined(guesses), len(part.starts(stride, stride)))
        )


@torch.no_grad()
def calibrate_inferred_error_bars(model: BidirectionalODE, frames: Frames, part: Part) -> None:
    """Calibrate the error bars for anchors whose velocities are inferred from the anchors' positions, if there are any.

    Every K-th frame of the part is taken for a coarse trajectory without velocities, some times over with other first
    frames, and treated as such a file is.

    Args:
        model: The model, with its correction fitted.
        frames: The fine trajectory.
        part: Where the windows are.

    Raises:
        SolverError: If an ODE cannot be solved.
    """
    bars = model.inferred_error_bars
    if bars is None:
        return
    dynamics = Dynamics(frames.system, model.field, model.solver)
    for stride in bars.strides:
        errors, guesses = [], []
        for first in range(0, stride, math.ceil(stride / _SHIFTS)):
            shifted = [range(one.start + first, one.stop) for one in part.ranges]
            coarse = [some for one in shifted if len(some := range(one.start, one.stop, stride)) > 1]
            if not coarse:
                continue
            known = _with_inferred(frames, coarse, dynamics)
            starts = torch.cat([torch.as_tensor(some)[:-1] for some in coarse])
            for some in starts.split(gaps_at_once(model, frames.system.atoms, stride)):
                window = cut(known, some, stride, bars.dtype)
                found = model.uncorrected(window.anchors, window.times, reach=1.0)
                errors.append(model.corrected(found).positions - window.hidden)
                guesses.append(model.guesses(found))
        if sum(one.shape[1] for one in errors) >= bars.fewest_windows:
            bars.calibrate(
                stride, Residuals(torch.cat(errors, 1), Guesses.joined(guesses), len(part.starts(stride, stride)))
            )


def _with_inferred(frames: Frames, coarse: list[range], dynamics: Dynamics) -> Frames:
    """The frames with velocities at coarse ones only, which nothing but the positions of these has told."""
    velocities = torch.full_like(frames.velocities, torch.nan)
    for some in coarse:
        index = torch.as_tensor(some)
        found = infer_velocities(dynamics, frames.positions[index], some.step * frames.timestep)
        velocities[index] = found.velocities
    return replace(frames, velocities=velocities, accelerations=None)
