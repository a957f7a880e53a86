"""`Trust`: how far rebuilt frames are to be trusted, by a bar for each atom and flags for each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from jaxtyping import Float32, UInt8

from neuralmd.errors import DataError


class Flag(IntFlag):
    """What is to be known of a frame; several may hold at once, and 0 is a frame that nothing is known against."""

    UNCERTAIN = 1
    """The largest error bar of a frame of its gap is above the limit that the user set."""

    SPLINE = 2
    """Its gap was filled by a spline in place of the model. It has no error bar."""

    DISTANCE = 4
    """Two of its atoms are at a distance that such atoms never had in the training data."""

    TEMPERATURE = 8
    """An anchor of its gap moves faster or slower than any frame of the training data."""


MEANINGS = "1: error bar above --max-error; 2: filled by a spline; 4: distance not in training data; 8: temperature"
"""What a file says of its flags."""


@dataclass(frozen=True, eq=False)
class Trust:
    """How far frames are to be trusted.

    Attributes:
        flags: Sum of the `Flag`s of each frame.
        error_bars: Half-width of the interval for each component of an atom's position [A]: 0 at anchors, NaN where it
            is not known. None if no frame has one.
        frame_error_bars: What the root mean square error over the components of a frame is below [A]; the same.
    """

    flags: UInt8[np.ndarray, " frames"]
    error_bars: Float32[np.ndarray, "frames atoms"] | None = None
    frame_error_bars: Float32[np.ndarray, " frames"] | None = None

    def __post_init__(self) -> None:
        bars, whole = self.error_bars, self.frame_error_bars
        if (bars is None) != (whole is None):
            raise DataError("error bars are those of atoms and of frames, but only one of them came")
        if bars is not None and whole is not None and not len(bars) == len(whole) == len(self.flags):
            raise DataError(f"{len(self.flags)} frames came with {len(bars)} and {len(whole)} error bars")

    def __len__(self) -> int:
        return len(self.flags)

    def __getitem__(self, frames: slice) -> Trust:
        """Some of the frames."""
        bars, whole = self.error_bars, self.frame_error_bars
        return Trust(
            self.flags[frames], None if bars is None else bars[frames], None if whole is None else whole[frames]
        )

    @classmethod
    def anchors(cls, frames: int, atoms: int) -> Trust:
        """Frames that are known: no error, no flag."""
        flags = np.zeros(frames, dtype=np.uint8)
        return cls(flags, np.zeros((frames, atoms), dtype=np.float32), np.zeros(frames, dtype=np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that there are, by the names that files and `from_arrays` use."""
        found = {
            "flags": self.flags,
            "error_bars": self.error_bars,
            "frame_error_bars": self.frame_error_bars,
        }
        return {name: array for name, array in found.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Trust | None:
        """What `arrays` gave, in any precision; none where nothing is said of trust."""
        if "flags" not in arrays:
            return None
        bars, whole = arrays.get("error_bars"), arrays.get("frame_error_bars")
        return cls(
            np.asarray(arrays["flags"]).astype(np.uint8),
            None if bars is None or whole is None else np.asarray(bars, dtype=np.float32),
            None if bars is None or whole is None else np.asarray(whole, dtype=np.float32),
        )


TRUST_FIELDS = frozenset({"flags", "error_bars"})
"""What of it a file may hold; `error_bars` are those of atoms and those of frames."""


def join(parts: Sequence[Trust | None]) -> Trust | None:
    """The frames of several stretches, one after the other; none if one of them says nothing."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    names = set.intersection(*({*part.arrays()} for part in known))
    return Trust.from_arrays({name: np.concatenate([part.arrays()[name] for part in known]) for name in names})
