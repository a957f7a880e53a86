"""The splines: what anyone would do without learning, and so the baselines to beat."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.data.anchors import Anchors
from neuralmd.errors import DataError
from neuralmd.interpolators.base import Interpolator, Path, clean_times
from neuralmd.ode.hermite import Knot, quintic_hermite
from neuralmd.system import Times


class Linear(Interpolator):
    """The straight line from anchor to anchor.

    x(s) = (1 - s) x0 + s x1,  s = t / gap
    """

    needs_velocities: ClassVar[bool] = False

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The line and its constant velocity; see `Interpolator.forward`."""
        start, end = anchors.start.positions, anchors.end.positions
        s = _fractions(anchors, times)
        velocity = (end - start) / anchors.gap
        return Path((1 - s) * start + s * end, velocity.expand(len(times), *velocity.shape))


class NaturalCubicSpline(Interpolator):
    """The cubic spline through the known positions around the gap, with no curvature at its first and last knot.

    x(s) = (1 - s) x0 + s x1 - gap^2/6 s (1 - s) ((2 - s) m0 + (1 + s) m1)
    m_(k-1) + 4 m_k + m_(k+1) = 6 (x_(k-1) - 2 x_k + x_(k+1)) / gap^2,  m_first = m_last = 0

    The curvatures m are those of all knots in `Anchors.context`. It needs no velocities.
    """

    context: ClassVar[int] = 12
    needs_velocities: ClassVar[bool] = False

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The spline and its derivative; see `Interpolator.forward`."""
        if anchors.context is None:
            raise DataError(
                "the natural cubic spline needs the known frames around the gap, but none came: cut windows with the "
                f"context of {self.context} frames on each side that it asks for"
            )
        start, end, gap = anchors.start.positions, anchors.end.positions, anchors.gap
        s = _fractions(anchors, times)
        first, second = _curvatures(anchors.context)
        positions = (1 - s) * start + s * end - (s * (1 - s) / 6) * ((2 - s) * first + (1 + s) * second)
        bend = (2 - 6 * s + 3 * s**2) * first + (1 - 3 * s**2) * second
        return Path(positions, ((end - start) - bend / 6) / gap)


class CubicHermite(Interpolator):
    """The cubic that has the positions and velocities of both anchors.

    x(s) = (1 - q) x0 + q x1 + gap (s (1 - s)^2 v0 - s^2 (1 - s) v1),  q = 3 s^2 - 2 s^3
    """

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The cubic and its derivative; see `Interpolator.forward`."""
        start, end, gap = anchors.start, anchors.end, anchors.gap
        s = _fractions(anchors, times)
        q = 3 * s**2 - 2 * s**3
        bend = (s * (1 - s) ** 2) * start.velocities - (s**2 * (1 - s)) * end.velocities
        positions = (1 - q) * start.positions + q * end.positions + gap * bend
        velocities = (
            (6 * s * (1 - s) / gap) * (end.positions - start.positions)
            + (1 - 4 * s + 3 * s**2) * start.velocities
            + (3 * s**2 - 2 * s) * end.velocities
        )
        return Path(positions, velocities)


class QuinticHermite(Interpolator):
    """The polynomial of degree five that has the positions, velocities and accelerations F/m of both anchors.

    See `neuralmd.ode.hermite.quintic_hermite` for the formula.
    """

    needs_forces: ClassVar[bool] = True

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The quintic and its derivative; see `Interpolator.forward`."""
        first, second = anchors.start_acceleration, anchors.end_acceleration
        if first is None or second is None:
            raise DataError(
                "the quintic Hermite spline needs the forces at both anchors, but the data hold none: "
                "use the cubic Hermite spline instead"
            )
        start = Knot(anchors.start.positions, anchors.start.velocities, first)
        end = Knot(anchors.end.positions, anchors.end.velocities, second)
        return Path(*quintic_hermite(start, end, anchors.gap, _fractions(anchors, times)))


def _fractions(anchors: Anchors, times: Times) -> Float[Tensor, "time 1 1 1"]:
    """The fraction s = t / gap, exactly 0 and 1 at the anchors, to be broadcast against positions."""
    s = clean_times(times, anchors.gap) / anchors.gap
    return s.to(anchors.start.positions).reshape(-1, 1, 1, 1)


def _curvatures(
    knots: Float[Tensor, "knots batch atoms 3"],
) -> tuple[Float[Tensor, "batch atoms 3"], Float[Tensor, "batch atoms 3"]]:
    """gap^2 d^2x/dt^2 of the natural spline through uniform knots, at the two knots in the middle."""
    count = len(knots)
    if count < 2 or count % 2:
        raise DataError(
            f"the context of a gap must hold as many frames before the first anchor as after the second, "
            f"so an even number with both anchors, but it holds {count}"
        )
    # The spline is linear in its knots and they are uniform: the solution is two rows of weights for the whole batch.
    inner = torch.eye(count - 2, count, dtype=torch.float64)
    differences = inner - 2 * inner.roll(1, dims=1) + inner.roll(2, dims=1)
    shift = torch.ones(max(count - 3, 0), dtype=torch.float64)
    system = 4 * torch.eye(count - 2, dtype=torch.float64) + torch.diag(shift, 1)[: count - 2, : count - 2]
    system = system + torch.diag(shift, -1)[: count - 2, : count - 2]
    weights = torch.zeros(count, count, dtype=torch.float64)
    weights[1:-1] = torch.linalg.solve(system, 6 * differences)
    middle = weights[count // 2 - 1 : count // 2 + 1].to(knots.device)
    first, second = torch.einsum("mk,kbac->mbac", middle, knots.to(torch.float64)).to(knots.dtype)
    return first, second
