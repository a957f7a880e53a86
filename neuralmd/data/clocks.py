"""What each frame of a file says about its time, kept in 24 bytes a frame, and the segments that follow from it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from neuralmd.data.segments import from_lengths, from_times
from neuralmd.data.trajectory import Segment
from neuralmd.errors import DataError

KEYS: Final = ("time_fs", "timestep_fs", "segment")
"""Time of the frame [fs]; time step of its segment [fs], and the segment's index."""


class Clocks:
    """The times that the frames of a file state, as far as they do."""

    def __init__(self) -> None:
        self._stated = {key: array("d") for key in KEYS}

    def add(self, info: Mapping[str, Any]) -> None:
        """Take the next frame's keys; others than `KEYS` do not count.

        Raises:
            ValueError: If a key is not a number.
        """
        for key, values in self._stated.items():
            values.append(float(info.get(key, np.nan)))

    def segments(self, path: Path) -> tuple[Segment, ...] | None:
        """The segments that the frames state; none if they state no time.

        Raises:
            DataError: If only some frames state their time, or the times are not uniform.
        """
        times, steps, numbers = (np.frombuffer(self._stated[key]) for key in KEYS)
        frames = len(times)
        for key, values in zip(KEYS, (times, steps, numbers), strict=True):
            count = int(np.count_nonzero(~np.isnan(values)))
            if 0 < count < frames:
                raise DataError(f"{path}: only {count} of {frames} frames state {key}; all must, or none")
        if frames == 0 or np.isnan([times[0], steps[0]]).all():
            return None
        if np.isnan(steps[0]):
            return from_times(times, path)
        changes = np.flatnonzero(np.diff(numbers)) + 1 if not np.isnan(numbers[0]) else np.zeros(0, dtype=np.int64)
        bounds = np.array([0, *changes, frames])
        return from_lengths(np.diff(bounds).tolist(), steps[bounds[:-1]].tolist())
