"""The fit of an equivariant correction to windows whose hidden frames are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.data.windows import Frames, Part, cut, spread
from neuralmd.errors import DataError
from neuralmd.interpolators.batches import gaps_at_once
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.equivariant_correction import EquivariantCorrection, MismatchNetwork
from neuralmd.interpolators.mismatch import VELOCITY_WEIGHT, shapes
from neuralmd.system import Curves, Positions

_WINDOWS: Final = 4096
_HELD_OUT: Final = 0.1
_FEWEST: Final = 20
_BATCH: Final = 64
_WORTH: Final = 0.999
"""Part of the squared error of the windows that are held out, above which a correction is not worth its evaluation."""

_RATE: Final = 5e-3


@dataclass(frozen=True, eq=False)
class _Known:
    """Windows whose hidden frames are known.

    Attributes:
        middle: The middle of their paths [A].
        vectors: What the network reads [A].
        missing: What is missing from the path at the hidden frames [A], and of its velocity times the weight [A].
    """

    middle: Positions
    vectors: Float[Tensor, "window 3 atoms features"]
    missing: Float[Tensor, "rows window atoms 3"]


def fit_equivariant_correction(model: BidirectionalODE, frames: Frames, part: Part, steps: int) -> None:
    """Fit the equivariant correction of a model, if it has one, to windows of the training part.

    min sum |delta(t) - r(t)|^2 + (0.3 h)^2 |d delta/dt - dr/dt|^2 over hidden frames, by Adam

    where r is what the path before the correction lacks and h the time from frame to frame. The solutions are computed
    once. A gap whose error on the last windows of the part, which are not fitted, does not become smaller stays
    without a correction.

    Args:
        model: The model, with its bridge fitted if it has one.
        frames: The fine trajectory.
        part: The training part.
        steps: Steps of the optimizer.

    Raises:
        DataError: If the part has too few windows of a gap that is to be fitted.
        SolverError: If an ODE cannot be solved.
    """
    correction = model.correction
    if not isinstance(correction, EquivariantCorrection):
        return
    for index, gap in enumerate(correction.gaps.tolist()):
        stride = round(gap / frames.timestep)
        starts = part.starts(stride)
        if len(starts) < _FEWEST:
            raise DataError(
                f"the training part has {len(starts)} windows of stride {stride}, but the correction needs {_FEWEST} "
                "to be fitted to: leave the stride out of model.correction.strides, or give more frames"
            )
        chosen = spread(starts, _WINDOWS)
        last = int((chosen < chosen[-1] - _HELD_OUT * (chosen[-1] - chosen[0])).sum())
        # Windows overlap: those that share frames with the fitted ones are neither.
        apart = chosen[chosen >= min(int(chosen[last - 1]) + stride, int(chosen[-1]))]
        correction.ready[index] = True
        fitted, held_out = (_known(model, correction, frames, some, stride) for some in (chosen[:last], apart))
        network = correction.networks[index]
        if not isinstance(network, MismatchNetwork):
            raise TypeError("not a network of the mismatch")
        s = torch.arange(1, stride, dtype=torch.float64, device=frames.positions.device) / stride
        series = shapes(s.to(fitted.missing), correction.terms)
        rows = torch.cat((series.value, VELOCITY_WEIGHT / stride * series.rate), dim=1)
        _descend(network, rows, fitted, steps)
        correction.ready[index] = _share(network, rows, held_out) < _WORTH


@torch.no_grad()
def _known(
    model: BidirectionalODE, correction: EquivariantCorrection, frames: Frames, starts: Tensor, stride: int
) -> _Known:
    middles, vectors, missing = [], [], []
    for some in starts.split(gaps_at_once(model, frames.system.atoms, stride)):
        window = cut(frames, some, stride, correction.masses.dtype)
        found = model.uncorrected(window.anchors, window.times)
        if found.for_correction is None:
            raise ValueError("the correction is not for such gaps")
        middle, seen = correction.seen(found.for_correction)
        left: Curves = window.hidden - found.path.positions
        slip: Curves = window.hidden_velocities - found.path.velocities
        middles.append(middle)
        vectors.append(seen)
        missing.append(torch.cat((left, VELOCITY_WEIGHT * frames.timestep * slip)))
    return _Known(torch.cat(middles), torch.cat(vectors), torch.cat(missing, dim=1))


@torch.enable_grad()
def _descend(network: MismatchNetwork, rows: Float[Tensor, "terms rows"], known: _Known, steps: int) -> None:
    """Minimise the squared error of the windows by Adam, with a learning rate that falls as a cosine."""
    network.requires_grad_()
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    generator = torch.Generator().manual_seed(0)
    size = known.missing.square().mean()
    for step in range(steps):
        chosen = torch.randint(len(known.middle), (_BATCH,), generator=generator).to(known.middle.device)
        found = torch.einsum("nt,bcan->tbac", rows, network(known.middle[chosen], known.vectors[chosen]))
        loss = (found - known.missing[:, chosen]).square().mean() / size
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.5 * _RATE * (1.0 + math.cos(math.pi * (step + 1) / steps))
    network.requires_grad_(requires_grad=False)


@torch.no_grad()
def _share(network: MismatchNetwork, rows: Float[Tensor, "terms rows"], known: _Known) -> float:
    """The part of the squared error that is left."""
    left = torch.zeros((), dtype=torch.float64)
    for some in torch.arange(len(known.middle), device=known.middle.device).split(_BATCH):
        found = torch.einsum("nt,bcan->tbac", rows, network(known.middle[some], known.vectors[some]))
        left += (found - known.missing[:, some]).double().square().sum().cpu()
    return float(left / known.missing.double().square().sum())
