"""Periodic cells: positions that go on across a boundary, molecules in one piece, and positions put back into the cell.

n(i) = n(i-1) - round(s(i) - s(i-1)),  x_unwrapped(i) = x(i) + n(i) cell

with s = x cell^-1 the fractional coordinates of frame i and n whole numbers, zero at the first frame of a segment. It
holds for any cell, orthorhombic or triclinic, as long as no atom moves by half a cell vector from frame to frame.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.files import TrajectoryReader, TrajectoryWriter, block_length
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System

_STATES_KEPT: Final = 16
_FLAT: Final = 1e-6
"""Volume of a cell, as a part of the box of its lengths, below which its vectors lie in a plane."""


def inverse_cell(system: System) -> Float[np.ndarray, "3 3"]:
    """cell^-1, with a unit vector in place of each cell vector that is zero and not periodic.

    Raises:
        DataError: If the system is periodic along a vector that is zero, or the vectors lie in a plane.
    """
    lengths = np.linalg.norm(system.cell, axis=1)
    if not np.isfinite(system.cell).all():
        raise DataError("the cell holds NaN or infinity: correct it, or read the file with --drop-cell")
    if (system.pbc & (lengths == 0)).any():
        raise DataError("the system is periodic along a cell vector that is zero: correct the cell, or --drop-cell")
    cell = system.cell.copy()
    for axis in np.flatnonzero(lengths == 0):
        rest = np.delete(cell, axis, axis=0)
        normal = np.cross(rest[0], rest[1])
        size = np.linalg.norm(normal)
        cell[axis] = normal / size if size > 0 else np.eye(3)[axis]
    box = np.prod(np.linalg.norm(cell, axis=1))
    if not box > 0 or abs(np.linalg.det(cell)) < _FLAT * box:
        raise DataError("the cell vectors lie in a plane: correct the cell, or read the file with --drop-cell")
    return np.linalg.inv(cell)


class UnwrappedReader(TrajectoryReader):
    """Reads another reader's file with positions that go on across the boundaries of its constant cell.

    Frames may be read in any order: what a block depends on is read again from the last known frame before it.

    Raises:
        DataError: If the cell has no volume.
    """

    def __init__(self, inner: TrajectoryReader) -> None:
        self._inner = inner
        self.system, self.segments, self.fields = inner.system, inner.segments, inner.fields
        self.metadata, self.velocity_source, self.notes = inner.metadata, inner.velocity_source, inner.notes
        self.length_unit, self.velocity_unit = inner.length_unit, inner.velocity_unit
        self._inverse = inverse_cell(inner.system)
        self._known: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        block = self._inner.read(start, stop)
        positions = block.positions.copy()
        for segment in self.segments:
            first, last = max(segment.start, start), min(segment.stop, stop)
            if first < last:
                part = slice(first - start, last - start)
                positions[part] = self._unwrap(segment, first, block.positions[part])
        return replace(block, positions=positions)

    def close(self) -> None:
        """Close the file."""
        self._inner.close()

    def _unwrap(
        self, segment: Segment, first: int, positions: Float[np.ndarray, "frames atoms 3"]
    ) -> Float[np.ndarray, "frames atoms 3"]:
        images, fractions = self._state(segment, first)
        rows = np.concatenate((images[None], self._advance(images, fractions, positions[1:])))
        self._remember(first + len(positions) - 1, rows[-1], positions[-1] @ self._inverse)
        return positions + rows @ self.system.cell

    def _state(self, segment: Segment, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The images and the fractional coordinates of a frame, from the last known one before it."""
        known = [at for at in self._known if segment.start <= at <= frame]
        if not known:
            begin = self._inner.read(segment.start, segment.start + 1).positions[0]
            self._remember(segment.start, np.zeros_like(begin), begin @ self._inverse)
        at = max(known, default=segment.start)
        images, fractions = self._known[at]
        most = block_length(self.system)
        while at < frame:
            until = min(frame, at + most)
            between = self._inner.read(at + 1, until + 1).positions
            images, fractions = self._advance(images, fractions, between)[-1], between[-1] @ self._inverse
            at = until
        self._remember(frame, images, fractions)
        return images, fractions

    def _advance(
        self,
        images: Float[np.ndarray, "atoms 3"],
        fractions: Float[np.ndarray, "atoms 3"],
        positions: Float[np.ndarray, "frames atoms 3"],
    ) -> Float[np.ndarray, "frames atoms 3"]:
        """The images of the frames that follow one whose images and fractional coordinates are known."""
        steps = np.diff(np.concatenate((fractions[None], positions @ self._inverse)), axis=0)
        return images - np.cumsum(np.where(self.system.pbc, np.rint(steps), 0.0), axis=0)

    def _remember(self, frame: int, images: np.ndarray, fractions: np.ndarray) -> None:
        self._known[frame] = images, fractions
        self._known.move_to_end(frame)
        while len(self._known) > _STATES_KEPT:
            self._known.popitem(last=False)


class FreeReader(TrajectoryReader):
    """Reads another reader's unwrapped file as one of a molecule in one piece and without a cell.

    Every atom is put where it is nearest to an atom that is already in place, beginning with the first, in the first
    frame of each segment; all frames of the segment are shifted alike.
    """

    def __init__(self, inner: TrajectoryReader) -> None:
        self._inner = inner
        self.system = replace(inner.system, cell=np.zeros((3, 3)), pbc=np.zeros(3, dtype=bool))
        self.segments, self.fields, self.metadata = inner.segments, inner.fields, inner.metadata
        self.velocity_source, self.notes = inner.velocity_source, inner.notes
        self.length_unit, self.velocity_unit = inner.length_unit, inner.velocity_unit
        self._shifts: dict[int, np.ndarray] = {}

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        block = self._inner.read(start, stop)
        positions = block.positions.copy()
        for number, segment in enumerate(self.segments):
            first, last = max(segment.start, start), min(segment.stop, stop)
            if first < last:
                positions[first - start : last - start] += self._shift(number, segment)
        return replace(block, system=self.system, positions=positions)

    def close(self) -> None:
        """Close the file."""
        self._inner.close()

    def _shift(self, number: int, segment: Segment) -> Float[np.ndarray, "atoms 3"]:
        if number not in self._shifts:
            begin = self._inner.read(segment.start, segment.start + 1).positions[0]
            self._shifts = {number: in_one_piece(begin, self._inner.system)}
        return self._shifts[number]


def in_one_piece(positions: Float[np.ndarray, "atoms 3"], system: System) -> Float[np.ndarray, "atoms 3"]:
    """What to add to positions so that a molecule that a boundary cuts is whole: whole multiples of cell vectors.

    The shortest tree through all periodic images (Prim) is followed from the first atom. Distances are those of the
    nearest image in fractional coordinates, exact for atoms closer than half the cell's smallest height.
    """
    inverse = inverse_cell(system)
    fractions = positions @ inverse
    images = np.zeros_like(positions)
    placed = np.zeros(len(positions), dtype=bool)
    nearest = np.full(len(positions), np.inf)
    parent_images = np.zeros_like(positions)
    current = 0
    for _ in range(len(positions)):
        placed[current] = True
        apart = fractions - fractions[current]
        wraps = np.where(system.pbc, -np.rint(apart), 0.0)
        distances = np.linalg.norm(positions - positions[current] + wraps @ system.cell, axis=1)
        closer = ~placed & (distances < nearest)
        nearest[closer] = distances[closer]
        parent_images[closer] = images[current] + wraps[closer]
        if placed.all():
            break
        current = int(np.where(placed, np.inf, nearest).argmin())
        images[current] = parent_images[current]
    return images @ system.cell


def wrapped(positions: Float[np.ndarray, "frames atoms 3"], system: System) -> Float[np.ndarray, "frames atoms 3"]:
    """Positions in the cell, 0 <= s < 1 along each periodic cell vector; those that are inside stay bit for bit."""
    outside = np.where(system.pbc, np.floor(positions @ inverse_cell(system)), 0.0)
    return np.where((outside == 0).all(axis=-1, keepdims=True), positions, positions - outside @ system.cell)


class WrappedWriter(TrajectoryWriter):
    """Writes blocks through another writer, with all positions put back into the cell.

    Raises:
        DataError: If the system has no cell, or is not periodic.
    """

    def __init__(self, inner: TrajectoryWriter, system: System, path: Path) -> None:
        if not system.pbc.any():
            inner.abandon()
            raise DataError(f"{path} cannot be wrapped: the system has no periodic cell; leave --wrap out")
        inverse_cell(system)
        self._inner = inner
        self._system = system

    def append(self, block: Trajectory) -> None:
        """Write the frames of a block, wrapped."""
        self._inner.append(replace(block, positions=wrapped(block.positions, self._system)))

    def start_segment(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own."""
        self._inner.start_segment(timestep)

    def commit(self) -> None:
        """Finish the file and give it its final name."""
        self._inner.commit()

    def abandon(self) -> None:
        """Close and remove what was written."""
        self._inner.abandon()
