"""What every trajectory file has in common: a reader and a writer in blocks of frames, and files that appear whole."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from jaxtyping import Float

from neuralmd.data.declared import LengthUnit, VelocityUnit
from neuralmd.data.segments import clip
from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource
from neuralmd.data.trust import TRUST_FIELDS, Trust
from neuralmd.errors import DataError, NeuralMDError
from neuralmd.system import System

FIELDS: Final = frozenset({"velocities", "forces", "energies"}) | TRUST_FIELDS
"""What a file may hold besides positions."""

_BLOCK_BYTES: Final = 32 * 2**20
_LONG: Final = 200
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TrajectoryReader(ABC):
    """An open trajectory file, read in blocks, so that a file larger than memory works.

    Attributes:
        system: The atoms.
        segments: The stretches of frames that are uniform in time.
        fields: Which of velocities, forces, energies, error bars and flags the file holds.
        velocity_source: Where the velocities come from; none if there are none.
        metadata: What made the trajectory.
        notes: What was assumed because the file does not say it, a sentence each.
        length_unit: What the file's lengths were taken to be in.
        velocity_unit: What the file's velocities were taken to be in.
        unwrapped: Whether the file itself says in which periodic image each atom is.
    """

    system: System
    segments: tuple[Segment, ...]
    fields: frozenset[str]
    velocity_source: VelocitySource | None
    metadata: dict[str, str]
    notes: tuple[str, ...] = ()
    length_unit: LengthUnit = LengthUnit.ANGSTROM
    velocity_unit: VelocityUnit = VelocityUnit.ANGSTROM_PER_FS
    unwrapped: bool = False

    @property
    def frames(self) -> int:
        """Number of frames in the file."""
        return self.segments[-1].stop

    @abstractmethod
    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop.

        Raises:
            DataError: If a frame cannot be read or holds a position that is not finite.
        """

    def trust(self, start: int, stop: int) -> Trust | None:
        """Error bars and flags of the frames from start up to stop; none where the file says nothing of them.

        Raises:
            DataError: If a frame cannot be read.
        """
        return self.read(start, stop).trust

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def whole(self, arrays: Mapping[str, np.ndarray], start: int, stop: int) -> Trajectory:
        """The frames from start up to stop, of which these arrays have been read."""
        return Trajectory(
            self.system,
            arrays["positions"],
            clip(self.segments, start, stop),
            velocities=arrays.get("velocities"),
            velocity_source=self.velocity_source,
            forces=arrays.get("forces"),
            energies=arrays.get("energies"),
            metadata=self.metadata,
            trust=Trust.from_arrays(arrays),
        )

    def blocks(self, frames: int | None = None) -> Iterator[Trajectory]:
        """All frames in order, in blocks of at most so many frames; no block crosses a segment boundary.

        Args:
            frames: Most frames in a block; by default as many as fill 32 MiB with positions.
        """
        most = frames or block_length(self.system)
        for segment in self.segments:
            for start in range(segment.start, segment.stop, most):
                yield self.read(start, min(start + most, segment.stop))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TrajectoryWriter(ABC):
    """A trajectory file being written in blocks. It appears under its final name only when it is whole."""

    @abstractmethod
    def append(self, block: Trajectory) -> None:
        """Write the frames of a block after those already written.

        The block's first segment goes on with the segment being written; each further one starts a new segment.

        Raises:
            DataError: If the block does not continue the file, or the disk is full.
        """

    @abstractmethod
    def start_segment(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own, with the given time step [fs]."""

    @abstractmethod
    def commit(self) -> None:
        """Finish the file and give it its final name."""

    @abstractmethod
    def abandon(self) -> None:
        """Close and remove what was written; the final name stays untouched."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.abandon()


@dataclass(frozen=True, eq=False)
class FileHeader:
    """What a writer has to know before the first frame comes.

    Attributes:
        system: The atoms.
        timestep: Time from frame to frame of the first segment [fs].
        fields: Which of velocities, forces, energies, error bars and flags every block brings.
        velocity_source: Where the velocities come from; none if there are none.
        metadata: What made the trajectory.
    """

    system: System
    timestep: float
    fields: frozenset[str] = frozenset()
    velocity_source: VelocitySource | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := self.fields - FIELDS:
            raise DataError(f"a trajectory file can hold {sorted(FIELDS)}, but {sorted(unknown)} were asked for")
        has_velocities = "velocities" in self.fields
        source = (self.velocity_source or VelocitySource.STORED) if has_velocities else None
        object.__setattr__(self, "velocity_source", source)

    def check(self, block: Trajectory, path: Path) -> None:
        """Raise DataError unless the block's atoms, fields and velocity source are those of the file."""
        if not self.system.same_atoms(block.system):
            raise DataError(f"{path} holds {self.system.formula}, but a block of {block.system.formula} came")
        arrays = {"velocities": block.velocities, "forces": block.forces, "energies": block.energies}
        arrays |= {} if block.trust is None else block.trust.arrays()
        if missing := sorted(name for name in self.fields if arrays.get(name) is None):
            raise DataError(f"{path} is to hold {', '.join(missing)}, but a block came without")
        if "velocities" in self.fields and block.velocity_source != self.velocity_source:
            raise DataError(
                f"{path} declares {self.velocity_source} velocities, but a block of {block.velocity_source} ones came"
            )


class AtomicFile:
    """A file that is written next to its final name, and takes that name only when it is whole.

    Attributes:
        path: The final name.
        part: The name while it is being written.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        if path.is_dir():
            raise DataError(f"{path} is a folder: give the name of a file")
        if path.exists() and not overwrite:
            raise DataError(f"{path} exists already: give another name, or --overwrite")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {path.parent} is no folder ({error.strerror})") from error
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self._overwrite = overwrite

    def reserve(self, size: int) -> None:
        """Make sure that the disk has room for so many bytes of the file.

        Raises:
            OSError: If it has not.
        """
        with self.part.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            if size <= end:
                return
            if sys.platform == "linux":
                os.posix_fallocate(file.fileno(), end, size - end)
            else:
                file.write(bytes(size - end))

    def commit(self) -> None:
        """Give the file its final name."""
        if self.path.exists() and not self._overwrite:
            raise DataError(f"{self.path} appeared while it was being written: the new one stays as {self.part}")
        with self.part.open("rb+") as file:
            os.fsync(file.fileno())
        self.part.replace(self.path)

    def discard(self) -> None:
        """Remove what was written."""
        self.part.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(writer: TrajectoryWriter, path: Path) -> Iterator[None]:
    """Turn a failure to write, as a full disk, into one DataError, and remove what was written."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        writer.abandon()
        # HDF5 reports some failures without an errno, in words only.
        full = (isinstance(error, OSError) and error.errno in _NO_ROOM) or os.strerror(errno.ENOSPC) in str(error)
        reason = "the disk is full, make room" if full else _first_line(error)
        reason += "; is the disk full?" if "write error" in reason else ""
        raise DataError(f"{path} cannot be written ({reason}); nothing of it was kept") from error


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one DataError."""
    try:
        yield
    except NeuralMDError:
        raise
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as {kind} ({_first_line(error)}): is it damaged, truncated or another format?"
        ) from error


def block_length(system: System) -> int:
    """How many frames fill 32 MiB with positions."""
    return max(1, _BLOCK_BYTES // (24 * system.atoms))


def check_range(start: int, stop: int, frames: int, path: Path) -> None:
    """Raise DataError unless start..stop lies in the file."""
    if not 0 <= start <= stop <= frames:
        raise DataError(f"frames {start}..{stop} of {path} were asked for, but it has 0..{frames}")


def check_finite(positions: Float[np.ndarray, "frames atoms 3"], start: int, path: Path) -> None:
    """Raise DataError that names the first frame with a position that is not finite."""
    bad = ~np.isfinite(positions).all(axis=(1, 2))
    if bad.any():
        raise DataError(
            f"{path} has a position that is NaN or infinite in frame {start + int(bad.argmax())}: "
            "cut the file before that frame, or simulate again"
        )


def _first_line(error: BaseException) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) <= _LONG else f"{line[:_LONG]}..."
