"""The fit of a learned lambda to windows whose hidden frames are known."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.data.windows import Frames, Part, cut, spread
from neuralmd.errors import DataError
from neuralmd.interpolators.batches import gaps_at_once
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.learned_blend import DEGREE, UNFITTED, LearnedBlend, bernstein

_WINDOWS: Final = 1024
_PRIOR: Final = 1e-2
"""Weight of a coefficient of the power blend, against that of a hidden frame: for what few hidden frames leave open."""

_SUM: Final = 1e3
"""Weight of the condition that lambda ends at 1, against that of a hidden frame; it is made exact afterwards."""

_EVERYWHERE: Final = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
"""Where the power blend is met."""


@torch.no_grad()
def fit_blend(model: BidirectionalODE, frames: Frames, part: Part) -> None:
    """Fit the lambda of a model, if it is a learned one, to windows of the training part.

    min sum_j W_j (lambda(s_j) - lambda_j)^2 over monotone lambda,  lambda_j = <d, x - x_fwd> / W_j,  W_j = <d, d>

    for each element, where d = x_bwd - x_fwd at the hidden frame j, and <,> sums over the element's atoms and all
    windows. lambda_j is the weight of least squares at that frame alone. What two or three hidden frames leave open is
    as in the power blend.

    Raises:
        DataError: If the part has no window of a gap that is to be fitted.
        SolverError: If an ODE cannot be solved.
    """
    blend = model.blend
    if not isinstance(blend, LearnedBlend):
        return
    for index, gap in enumerate(blend.gaps.tolist()):
        stride = round(gap / frames.timestep)
        overlap, square = _moments(model, blend, frames, part, stride)
        s = torch.arange(1, stride, dtype=torch.float64) / stride
        for element in range(overlap.shape[1]):
            found = least_squares(s, overlap[:, element].cpu(), square[:, element].cpu())
            blend.coefficients[index, element] = torch.as_tensor(found).to(blend.coefficients)
        blend.ready[index] = True


def _moments(
    model: BidirectionalODE, blend: LearnedBlend, frames: Frames, part: Part, stride: int
) -> tuple[Float[Tensor, "time elements"], Float[Tensor, "time elements"]]:
    """<d, x - x_fwd> and <d, d> at each hidden frame, for each element [A^2]."""
    starts = part.starts(stride)
    if len(starts) == 0:
        raise DataError(
            f"the training part has no window of stride {stride} to fit lambda to: change model.blend.strides"
        )
    chosen = spread(starts, _WINDOWS)
    belongs = torch.nn.functional.one_hot(blend.species).double()
    overlap = belongs.new_zeros(stride - 1, belongs.shape[1])
    square = torch.zeros_like(overlap)
    for some in chosen.split(gaps_at_once(model, frames.system.atoms, stride)):
        window = cut(frames, some, stride, blend.coefficients.dtype)
        forward, backward = model.solutions(window.anchors, window.times)
        apart = (backward.positions - forward.positions).double()
        missing = (window.hidden - forward.positions).double()
        overlap += (apart * missing).sum((1, 3)) @ belongs
        square += apart.square().sum((1, 3)) @ belongs
    return overlap, square


def least_squares(
    s: Float[Tensor, " time"], overlap: Float[Tensor, " time"], square: Float[Tensor, " time"]
) -> Float[np.ndarray, " coefficients"]:
    """The coefficients of the monotone lambda that is closest to overlap / square, with the weights square."""
    tiny = torch.finfo(torch.float64).tiny
    usual = _steps(_rising(_EVERYWHERE), UNFITTED.weight(_EVERYWHERE).numpy())
    root = (square / square.mean().clamp(min=tiny)).sqrt().numpy()
    wanted = root * (overlap / square.clamp(min=tiny)).numpy()
    known = root[:, None] * _rising(s)
    steps = _steps(
        np.concatenate((known, _PRIOR * np.eye(len(usual)))),
        np.concatenate((wanted, _PRIOR * usual)),
    )
    return np.concatenate(([0.0, 0.0], np.cumsum(steps)[:-1], [1.0, 1.0]))


def _rising(s: Float[Tensor, " time"]) -> Float[np.ndarray, "time steps"]:
    """Lambda as a linear map of the steps from one coefficient to the next, the second to the last but one."""
    return bernstein(s, DEGREE).flip(1).cumsum(1).flip(1)[:, 2:DEGREE].numpy()


def _steps(matrix: Float[np.ndarray, "rows steps"], right: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " steps"]:
    """The steps of least squares of which none is negative and all sum to 1.

    Reference:
        C. L. Lawson & R. J. Hanson, Solving Least Squares Problems, Prentice-Hall (1974), chapter 23.
    """
    from scipy.optimize import nnls

    whole = np.full((1, matrix.shape[1]), _SUM)
    found, _ = nnls(np.concatenate((matrix, whole)), np.append(right, _SUM))
    return found / found.sum()
