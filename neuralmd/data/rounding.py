"""Whether the positions of a file are rounded so much that it shows in what is made of them."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.files import TrajectoryReader

_SAMPLE: Final = 256
_GRIDS: Final = (1e-1, 1e-2, 1e-3, 1e-4)
"""Spacings that are looked for, in A and in the file's own unit."""

_ON_GRID: Final = 0.02
"""Part of a spacing by which a displacement may miss a multiple of it: what single precision leaves."""

_MOST: Final = 0.99
"""Part of all displacements that must be multiples; an atom may have been put into another periodic image."""

_DROWNED: Final = 0.05
"""Rounding as a part of second differences, from which on a field learns it."""

_COARSE_GRID: Final = 0.9e-3
"""Spacing [A] from which on known frames are farther from the truth than a good model's frames."""


def about_rounding(reader: TrajectoryReader) -> list[str]:
    """What is suspicious about the digits of positions: a sentence if they are too few, from the first frames.

    A coordinate on a grid of spacing q is off by q / sqrt(12), and a second difference of three by sqrt(6) times that.

    Raises:
        DataError: If a frame cannot be read.
    """
    segment = max(reader.segments, key=lambda one: one.length)
    positions = reader.read(segment.start, min(segment.stop, segment.start + _SAMPLE)).positions
    grid = grid_of(positions, reader.length_unit.factor)
    if grid is None:
        return []
    error, told = grid / np.sqrt(12.0), f"positions are rounded to {grid:.2g} A"
    second = np.diff(positions, n=2, axis=0)
    bend = float(np.sqrt(np.mean(second**2))) if len(second) else 0.0
    drowned = np.sqrt(6.0) * error / bend if bend > 0 else 0.0
    if drowned > _DROWNED:
        told += (
            f", which makes {min(drowned, 1.0):.0%} of their second differences over {segment.timestep:g} fs: no field "
            "can be learned from these; write such a file with more digits (TRR; XTC with compressed-x-precision = "
            "1000000 in GROMACS, precision=6 in MDAnalysis)"
        )
        return [told]
    if grid > _COARSE_GRID:
        told += f": known frames are {error:.1e} A off (root mean square), of which error bars know nothing"
        return [f"{told}; write more digits where you can"]
    return []


def grid_of(positions: Float[np.ndarray, "frames atoms 3"], unit: float = 1.0) -> float | None:
    """The spacing of a grid that all displacements from frame to frame are on [A]; none if there is no such grid.

    Args:
        positions: Consecutive frames [A].
        unit: What the file's lengths are in [A].
    """
    steps = np.diff(positions, axis=0)
    if not np.abs(steps).max(initial=0.0) > 0:
        return None
    for grid in sorted({spacing * factor for spacing in _GRIDS for factor in (1.0, unit)}, reverse=True):
        multiples = steps / grid
        if np.mean(np.abs(multiples - np.rint(multiples)) < _ON_GRID) >= _MOST:
            # Steps that are all far smaller than the grid are multiples of it, too: of zero.
            return grid if np.abs(multiples).max() > 1 - _ON_GRID else None
    return None
