"""Error bars and flags of a rebuilt file, gap by gap: which gaps are flagged, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from neuralmd.data.files import TrajectoryReader
from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import Segment
from neuralmd.data.trust import Flag
from neuralmd.interpolators.doubts import Doubts
from neuralmd.interpolators.watching import against_training
from neuralmd.report.html.words import length

_FRAMES_AT_ONCE: Final = 2**16
_GAPS_EXPLAINED: Final = 64
"""Gaps of a stretch that are looked at for the reason of its flags."""


@dataclass(frozen=True, eq=False)
class GapTrust:
    """How far each gap of a rebuilt file is to be trusted.

    Attributes:
        stride: Frames from anchor to anchor.
        segments: Those of the file.
        starts: The frame at which each gap begins.
        flags: Sum of the `Flag`s of its frames.
        bars: The largest error bar of its frames [A]; NaN where none is known.
        limit: What the file says bars were not to exceed [A]; none for no limit.
        level: Part of all components that the bars are for; none if the file does not say.
        compared: Whether the gaps were compared with the training data.
    """

    stride: int
    segments: tuple[Segment, ...]
    starts: Int64[np.ndarray, " gaps"]
    flags: UInt8[np.ndarray, " gaps"]
    bars: Float32[np.ndarray, " gaps"]
    limit: float | None
    level: float | None
    compared: bool

    @classmethod
    def of(cls, reader: TrajectoryReader, stride: int) -> GapTrust | None:
        """Those of a file; none if it says nothing of trust.

        Raises:
            DataError: If it cannot be read.
        """
        starts, flags, bars = [], [], []
        for segment in reader.segments:
            for first, count in _blocks(segment, stride):
                trust = reader.trust(first, first + count * stride)
                if trust is None:
                    return None
                starts.append(first + stride * np.arange(count, dtype=np.int64))
                flags.append(np.bitwise_or.reduce(trust.flags.reshape(count, stride)[:, 1:], axis=1))
                whole = np.full(count * stride, np.nan) if trust.frame_error_bars is None else trust.frame_error_bars
                highest = np.fmax.reduce(whole.reshape(count, stride)[:, 1:], axis=1)
                bars.append(highest.astype(np.float32))
        if not starts:
            return None
        told = reader.metadata
        return cls(
            stride,
            tuple(reader.segments),
            np.concatenate(starts),
            np.concatenate(flags),
            np.concatenate(bars),
            _number(told, "max_error_A"),
            _number(told, "error_bar_level"),
            told.get("compared_with_training_data") == "yes",
        )

    def __len__(self) -> int:
        return len(self.starts)

    def count(self, flag: Flag) -> int:
        """How many gaps have a flag."""
        return int(np.count_nonzero(self.flags & flag))

    def within(self, stretch: Segment) -> slice:
        """The gaps of a stretch of frames that begins and ends with anchors."""
        first = int(np.searchsorted(self.starts, stretch.start))
        return slice(first, first + (stretch.length - 1) // self.stride)

    @property
    def flagged(self) -> int:
        """How many gaps have any."""
        return int(np.count_nonzero(self.flags))

    @property
    def worst(self) -> int | None:
        """The flagged gap with the largest error bar, or the first one where there are none; none without flags."""
        marked = np.flatnonzero(self.flags)
        if len(marked) == 0:
            return None
        bars = np.nan_to_num(self.bars[marked], nan=-1.0)
        return int(marked[bars.argmax()])

    def stretches(self) -> list[Stretch]:
        """Consecutive gaps with the same flags, in order."""
        broken = (np.diff(self.flags) != 0) | (np.diff(self.starts) != self.stride)
        ends = [0, *(np.flatnonzero(broken) + 1).tolist(), len(self)]
        return [self._stretch(first, stop) for first, stop in pairwise(ends) if self.flags[first]]

    def _stretch(self, first: int, stop: int) -> Stretch:
        number = next(n for n, each in enumerate(self.segments) if each.start <= self.starts[first] < each.stop)
        bars = self.bars[first:stop]
        highest = float(np.fmax.reduce(bars))
        return Stretch(number, int(self.starts[first]), stop - first, Flag(int(self.flags[first])), highest)


@dataclass(frozen=True)
class Stretch:
    """Consecutive gaps with the same flags.

    Attributes:
        segment: The segment that they are in, by number.
        start: The frame at which the first of them begins.
        gaps: How many.
        flags: Theirs.
        bar: The largest error bar [A]; NaN where none is known.
    """

    segment: int
    start: int
    gaps: int
    flags: Flag
    bar: float

    def reasons(self, reader: TrajectoryReader, stride: int, seen: Seen | None, limit: float | None) -> list[str]:
        """Why they are flagged, by the first 64 of them, a phrase each.

        Args:
            reader: The file.
            stride: Frames from anchor to anchor.
            seen: What the model was trained on; none if nobody knows.
            limit: What error bars were not to exceed [A], if the file says so.

        Raises:
            DataError: If the file cannot be read.
        """
        found = []
        if Flag.UNCERTAIN in self.flags:
            above = "above the limit" if limit is None else f"above {length(limit)}"
            largest = "" if np.isnan(self.bar) else f", up to {length(self.bar)}"
            found.append(f"error bar {above}{largest}")
        if Flag.SPLINE in self.flags:
            found.append("filled by a spline in place of the model")
        doubts = self._doubts(reader, stride, seen) if seen is not None else Doubts()
        if Flag.DISTANCE in self.flags:
            found.append(_of_distance(doubts, seen))
        if Flag.TEMPERATURE in self.flags:
            found.append(_of_temperature(doubts, seen))
        return found

    def _doubts(self, reader: TrajectoryReader, stride: int, seen: Seen) -> Doubts:
        gaps = min(self.gaps, _GAPS_EXPLAINED)
        frames = reader.read(self.start, self.start + gaps * stride + 1)
        known = frames.slice(0, gaps * stride + 1, stride)
        return against_training(seen, known, range(gaps), frames.positions[:-1])[1]


def _blocks(segment: Segment, stride: int) -> list[tuple[int, int]]:
    """Where blocks of gaps begin, and how many gaps each has."""
    gaps, most = (segment.length - 1) // stride, max(1, _FRAMES_AT_ONCE // stride)
    return [(segment.start + first * stride, min(most, gaps - first)) for first in range(0, gaps, most)]


def _of_distance(doubts: Doubts, seen: Seen | None) -> str:
    strange = doubts.farthest
    if strange is None or seen is None:
        return "a distance between two atoms that was not in the training data"
    first, second = (f"{seen.system.symbols[atom]}{atom}" for atom in (strange.first, strange.second))
    known = f"{strange.lowest:.2f} to {strange.highest:.2f} Å"
    return f"{first} and {second} {strange.distance:.2f} Å apart, trained on {known}"


def _of_temperature(doubts: Doubts, seen: Seen | None) -> str:
    if doubts.kelvin is None or seen is None:
        return "a known frame hotter or colder than the training data"
    return f"a known frame at {doubts.kelvin:.0f} K, trained on {seen.coldest:.0f} to {seen.hottest:.0f} K"


def _number(told: Mapping[str, str], key: str) -> float | None:
    try:
        return float(told[key])
    except (KeyError, ValueError):
        return None
