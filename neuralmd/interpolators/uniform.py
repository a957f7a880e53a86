"""Curves through uniformly spaced knots: what is between the steps of a recurrent network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.interpolators.base import Path
from neuralmd.system import Times

_NEIGHBOURS = 5


def hermite(knots: Path, step: float, times: Times) -> Path:
    """The piecewise cubic that has the positions and velocities of the knots, and its derivative.

    x(s) = (1 - q) x_i + q x_(i+1) + h (s (1 - s)^2 v_i - s^2 (1 - s) v_(i+1)),  q = 3 s^2 - 2 s^3,  s = t / h - i

    At a knot it is the knot, bit for bit.

    Args:
        knots: States at 0, h, 2 h, ...; at least two.
        step: h, time from knot to knot [fs].
        times: Query times in float64, between the first and the last knot [fs].
    """
    place = (times / step).floor().clamp(0, len(knots.positions) - 2)
    s = (times / step - place).to(knots.positions).reshape(-1, 1, 1, 1)
    index = place.long()
    x0, x1 = knots.positions[index], knots.positions[index + 1]
    v0, v1 = knots.velocities[index], knots.velocities[index + 1]
    q = s**2 * (3 - 2 * s)
    return Path(
        (1 - q) * x0 + q * x1 + step * (s * (1 - s) ** 2 * v0 - s**2 * (1 - s) * v1),
        (6 * s * (1 - s) / step) * (x1 - x0) + (1 - 4 * s + 3 * s**2) * v0 + (3 * s**2 - 2 * s) * v1,
    )


def derivative_matrix(count: int) -> Float[Tensor, "knots knots"]:
    """D with y' = D y / h at uniform knots: the slope of the polynomial through a knot and its nearest neighbours.

    Five knots where there are as many, so an error of h^4 y^(5) / 30 inside.
    """
    used = min(_NEIGHBOURS, count)
    powers = torch.arange(used, dtype=torch.float64)
    matrix = torch.zeros(count, count, dtype=torch.float64)
    for knot in range(count):
        first = min(max(knot - used // 2, 0), count - used)
        offsets = torch.arange(first, first + used, dtype=torch.float64) - knot
        slope = torch.zeros(used, dtype=torch.float64)
        slope[1] = 1.0
        # The weights w give sum_j w_j (j - knot)^p = d/dj (j - knot)^p for every power p.
        matrix[knot, first : first + used] = torch.linalg.solve(offsets ** powers[:, None], slope)
    return matrix
