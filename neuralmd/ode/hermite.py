"""The quintic through two phase states with their accelerations: dense output of a solver, and a spline of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from jaxtyping import Float
from torch import Tensor

Number = TypeVar("Number", float, Tensor)


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


class Shares(NamedTuple):
    """What x1 - x0, v0, v1, a0 and a1 count for on a quintic, or on a derivative of it."""

    moved: float | Tensor
    start_velocity: float | Tensor
    end_velocity: float | Tensor
    start_acceleration: float | Tensor
    end_acceleration: float | Tensor


def quintic_shares(s: Number, span: float) -> tuple[Shares, Shares, Shares]:
    """The shares in x - x0, in dx/dt and in d^2x/dt^2 of the quintic that has x, v and a of two knots.

    x(s) = x0 + q (x1 - x0) + h (b0 v0 + b1 v1) + h^2 (c0 a0 + c1 a1),  q = 10 s^3 - 15 s^4 + 6 s^5

    Args:
        s: Where, in [0, 1].
        span: h, time from the first knot to the second [fs].
    """
    s2, s3, s4 = s * s, s * s * s, s * s * s * s
    s5, half = s4 * s, 0.5 * span * span
    position = Shares(
        10 * s3 - 15 * s4 + 6 * s5,
        span * (s - 6 * s3 + 8 * s4 - 3 * s5),
        span * (-4 * s3 + 7 * s4 - 3 * s5),
        half * (s2 - 3 * s3 + 3 * s4 - s5),
        half * (s3 - 2 * s4 + s5),
    )
    velocity = Shares(
        (30 * s2 - 60 * s3 + 30 * s4) / span,
        1 - 18 * s2 + 32 * s3 - 15 * s4,
        -12 * s2 + 28 * s3 - 15 * s4,
        0.5 * span * (2 * s - 9 * s2 + 12 * s3 - 5 * s4),
        0.5 * span * (3 * s2 - 8 * s3 + 5 * s4),
    )
    acceleration = Shares(
        (60 * s - 180 * s2 + 120 * s3) / (span * span),
        (-36 * s + 96 * s2 - 60 * s3) / span,
        (-24 * s + 84 * s2 - 60 * s3) / span,
        1 - 9 * s + 18 * s2 - 10 * s3,
        3 * s - 12 * s2 + 10 * s3,
    )
    return position, velocity, acceleration


def quintic_hermite(
    start: Knot, end: Knot, span: float, fraction: Float[Tensor, "*time"]
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Positions and velocities on the polynomial of degree five that has x, v and a of both knots.

    See `quintic_shares` for the formula. At s = 0 and s = 1 the positions and velocities are the knots', bit for bit.

    Args:
        start: The knot at s = 0.
        end: The knot at s = 1.
        span: h, time from the first knot to the second [fs].
        fraction: s in [0, 1], in a shape that broadcasts against the knots.
    """
    position, velocity, _ = quintic_shares(fraction, span)
    positions = (1 - position.moved) * start.position + position.moved * end.position + _bend(position, start, end)
    return positions, velocity.moved * (end.position - start.position) + _bend(velocity, start, end)


def _bend(shares: Shares, start: Knot, end: Knot) -> Tensor:
    velocities = shares.start_velocity * start.velocity + shares.end_velocity * end.velocity
    return velocities + shares.start_acceleration * start.acceleration + shares.end_acceleration * end.acceleration
