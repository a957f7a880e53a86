"""Splitting methods: kicks by the acceleration and drifts by the velocity, in turns that read the same backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.ode.hermite import Knot

Acceleration = Callable[[Tensor, Tensor], Tensor]
"""a(x), from x and, for what takes whole phase states only, v."""


@dataclass(frozen=True)
class Splitting:
    """A symmetric composition of kicks and drifts.

    v <- v + b_0 h a(x),  x <- x + a_1 h v,  v <- v + b_1 h a(x),  ...,  v <- v + b_m h a(x)

    A step begins and ends with a kick, and the acceleration of its last serves the next step's first too, so it costs
    m evaluations. Each kick and each drift is undone by itself with the other sign: the method is symplectic, and time-
    reversible because both rows of numbers are palindromes.

    Attributes:
        kicks: b_0 .. b_m.
        drifts: a_1 .. a_m.
    """

    kicks: tuple[float, ...]
    drifts: tuple[float, ...]


VERLET: Final = Splitting(kicks=(0.5, 0.5), drifts=(1.0,))
"""Velocity Verlet, of order 2."""

_B1, _B2, _B3 = 0.0829844064174052, 0.396309801498368, -0.0390563049223486
_A1, _A2 = 0.245298957184271, 0.604872665711080
_A3, _B4 = 0.5 - (_A1 + _A2), 1.0 - 2.0 * (_B1 + _B2 + _B3)

SRKN6B: Final = Splitting(kicks=(_B1, _B2, _B3, _B4, _B3, _B2, _B1), drifts=(_A1, _A2, _A3, _A3, _A2, _A1))
"""The Runge-Kutta-Nystrom method SRKN_6^b of order 4 by Blanes and Moan (2002), table 3."""


def knots(
    acceleration: Acceleration,
    position: Float[Tensor, "*shape"],
    velocity: Float[Tensor, "*shape"],
    lengths: Iterable[float],
    splitting: Splitting,
) -> Iterator[Knot]:
    """The states at the start and after each step, with the accelerations there.

    Positions and velocities are summed up in the precision in which they come, whatever that of the accelerations.

    Args:
        acceleration: a(x) [A/fs^2].
        position: x at the start [A].
        velocity: v at the start [A/fs].
        lengths: The steps h [fs].
        splitting: The method.
    """
    rate = acceleration(position, velocity)
    yield Knot(position, velocity, rate)
    for length in lengths:
        for kick, drift in zip(splitting.kicks[:-1], splitting.drifts, strict=True):
            velocity = torch.add(velocity, rate, alpha=kick * length)
            position = torch.add(position, velocity, alpha=drift * length)
            rate = acceleration(position, velocity)
        velocity = torch.add(velocity, rate, alpha=splitting.kicks[-1] * length)
        yield Knot(position, velocity, rate)
