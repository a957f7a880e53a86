"""The quintic through two phase states with their accelerations: dense output of Verlet, and a spline of its own."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Knot:
    """A point that a quintic passes through.

    Attributes:
        position: x [A].
        velocity: dx/dt [A/fs].
        acceleration: d^2x/dt^2 [A/fs^2].
    """

    position: Float[Tensor, "*shape"]
    velocity: Float[Tensor, "*shape"]
    acceleration: Float[Tensor, "*shape"]


def quintic_hermite(
    start: Knot, end: Knot, span: float, fraction: Float[Tensor, "*time"] | float
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Positions and velocities on the polynomial of degree five that has x, v and a of both knots.

    x(s) = (1 - q) x0 + q x1 + h (b0 v0 + b1 v1) + h^2 (c0 a0 + c1 a1),  q = 10 s^3 - 15 s^4 + 6 s^5

    At s = 0 and s = 1 the positions and velocities are the knots', bit for bit.

    Args:
        start: The knot at s = 0.
        end: The knot at s = 1.
        span: h, time from the first knot to the second [fs].
        fraction: s in [0, 1], in a shape that broadcasts against the knots.
    """
    s = fraction
    s2, s3, s4 = s**2, s**3, s**4
    s5 = s4 * s
    q = 10 * s3 - 15 * s4 + 6 * s5
    positions = (
        (1 - q) * start.position
        + q * end.position
        + span * ((s - 6 * s3 + 8 * s4 - 3 * s5) * start.velocity + (-4 * s3 + 7 * s4 - 3 * s5) * end.velocity)
        + (0.5 * span**2) * ((s2 - 3 * s3 + 3 * s4 - s5) * start.acceleration + (s3 - 2 * s4 + s5) * end.acceleration)
    )
    velocities = (
        ((30 * s2 - 60 * s3 + 30 * s4) / span) * (end.position - start.position)
        + (1 - 18 * s2 + 32 * s3 - 15 * s4) * start.velocity
        + (-12 * s2 + 28 * s3 - 15 * s4) * end.velocity
        + (0.5 * span)
        * ((2 * s - 9 * s2 + 12 * s3 - 5 * s4) * start.acceleration + (3 * s2 - 8 * s3 + 5 * s4) * end.acceleration)
    )
    return positions, velocities
