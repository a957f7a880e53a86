"""A chart of a whole rebuilt file: the largest error bar of each gap over time, and below it where flags are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from neuralmd.data.trust import Flag
from neuralmd.report.html.flags import GapTrust
from neuralmd.report.html.words import length

WIDTH: Final = 900
_LEFT, _RIGHT, _TOP = 118, 12, 10
_HIGH: Final = 120
_LANE: Final = 20
_BINS: Final = 390
_LABELS: Final = 7
_LEVELS: Final = 3

LANES: Final = {
    Flag.UNCERTAIN: ("error bar", "uncertain"),
    Flag.SPLINE: ("spline", "spline"),
    Flag.DISTANCE: ("distance", "distance"),
    Flag.TEMPERATURE: ("temperature", "temperature"),
}
"""Flag -> its label in the chart, and the style class of its colour."""


@dataclass(frozen=True)
class Lane:
    """Where one flag is.

    Attributes:
        label: Its name.
        style: Its class.
        y: Upper edge.
        marks: Left edge and width of each mark.
    """

    label: str
    style: str
    y: float
    marks: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class TrustChart:
    """The chart, in units of its own picture.

    Attributes:
        height: Of the picture.
        base: Where the curve's axis is.
        columns: Left edge, upper edge, width and height of each column of the curve.
        levels: Height and label of each line of the grid.
        limit: Height of the limit; none where there is none, or it is out of sight.
        times: Place and label of each time.
        lanes: Where flags are.
        shown: Left edge and width of what the 3-D view shows.
        left: Where the curve begins.
        right: Where it ends.
    """

    height: float
    base: float
    columns: Sequence[tuple[float, float, float, float]]
    levels: Sequence[tuple[float, str]]
    limit: float | None
    times: Sequence[tuple[float, str]]
    lanes: Sequence[Lane]
    shown: tuple[float, float] | None
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    width: int = WIDTH

    @classmethod
    def of(cls, trust: GapTrust, shown: range) -> TrustChart:
        """The chart of a file.

        Args:
            trust: Its gaps.
            shown: Those that the 3-D view shows.
        """
        edges = np.unique(np.linspace(0, len(trust), min(_BINS, len(trust)) + 1).round().astype(int))
        bars = np.fmax.reduceat(trust.bars, edges[:-1]).astype(float)
        has_bars = bool((bars > 0).any())
        base = _TOP + (_HIGH if has_bars else 0)
        span = (WIDTH - _RIGHT - _LEFT) / len(trust)
        left = _LEFT + span * edges
        low, high = _range(bars, trust.limit) if has_bars else (0.0, 1.0)

        def height(bar: float) -> float:
            return base - _HIGH * min(max((np.log10(bar) - low) / (high - low), 0.0), 1.0)

        columns = [
            (float(x), y, float(width), base - y)
            for x, width, bar in zip(left, np.diff(left), bars, strict=False)
            if bar > 0 and (y := height(float(bar))) < base
        ]
        lanes, y = [], base + 8.0
        for flag, (label, style) in LANES.items():
            if trust.count(flag):
                marked = np.maximum.reduceat((trust.flags & flag) > 0, edges[:-1])
                lanes.append(Lane(label, style, y, _marks(marked, left)))
                y += _LANE
        return cls(
            y + 24.0,
            base,
            columns,
            _levels(low, high, height) if has_bars else (),
            height(trust.limit) if has_bars and trust.limit is not None else None,
            _times(trust, span),
            lanes,
            None if len(shown) == len(trust) else (_LEFT + span * shown.start, max(span * len(shown), 2.0)),
        )


def _range(bars: Float[np.ndarray, " bins"], limit: float | None) -> tuple[float, float]:
    """Decimal logarithms of the lowest and highest bar to be seen, the limit among them if it is not far away."""
    found = np.log10(bars[bars > 0])
    low, high = float(found.min()), float(found.max())
    if limit is not None and low - 2.0 < np.log10(limit) < high + 2.0:
        low, high = min(low, float(np.log10(limit))), max(high, float(np.log10(limit)))
    return low - 0.15, high + 0.08


def _levels(low: float, high: float, height: Callable[[float], float]) -> list[tuple[float, str]]:
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        values = [step * 10.0**power for power in powers for step in steps]
        inside = [value for value in values if low <= np.log10(value) <= high]
        if len(inside) >= _LEVELS:
            break
    return [(height(value), length(value)) for value in inside]


def _marks(marked: Bool[np.ndarray, " bins"], left: Float[np.ndarray, " edges"]) -> list[tuple[float, float]]:
    """Where a flag is, neighbours as one; at least two wide, so that a single gap is seen."""
    steps = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    return [
        (float(left[first]), max(float(left[stop] - left[first]), 2.0))
        for first, stop in zip(steps[::2], steps[1::2], strict=True)
    ]


def _times(trust: GapTrust, span: float) -> list[tuple[float, str]]:
    """Times below the chart; numbers of gaps where the file has several segments."""
    gap = trust.stride * trust.segments[0].timestep
    whole = len(trust) * gap
    one = len(trust.segments) == 1
    unit, scale = ("ps", 1e3) if whole >= 2e4 else ("fs", 1.0)
    total = whole / scale if one else float(len(trust))
    step = _rounded(total / _LABELS)
    found = []
    for index in range(int(total / step * 1.0001) + 1):
        value = index * step
        word = f"{value:g}" if index else (f"0 {unit}" if one else "gap 0")
        found.append((_LEFT + span * (value * scale / gap if one else value), word))
    return found


def _rounded(value: float) -> float:
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= 0.999 * value))
