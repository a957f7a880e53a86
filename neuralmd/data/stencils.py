"""Derivatives of an evenly spaced series by central differences over seven points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

Series = TypeVar("Series", bound=Any)

REACH: Final = 3
"""Points on either side."""

FIRST: Final = (-1 / 60, 3 / 20, -3 / 4, 0.0, 3 / 4, -3 / 20, 1 / 60)
"""Weights of h dx/dt; the error is h^7 / 140 times the seventh derivative."""

SECOND: Final = (1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90)
"""Weights of h^2 d^2x/dt^2; the error is h^8 / 560 times the eighth derivative.

Reference:
    B. Fornberg, Generation of finite difference formulas on arbitrarily spaced grids, Math. Comp. 51, 699 (1988).
"""


def combine(weights: Sequence[float], shifted: Callable[[int], Series]) -> Series:
    """sum_k w_k x(t + k h), k = -3 .. 3, where `shifted(k)` is the series k points later."""
    found = shifted(-REACH) * weights[0]
    for place, weight in enumerate(weights[1:], start=1 - REACH):
        found = found + shifted(place) * weight
    return found
