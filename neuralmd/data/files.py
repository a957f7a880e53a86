"""Trajectory files by suffix: one reader and one writer for all formats, in blocks of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource
from neuralmd.system import System


class TrajectoryReader(ABC):
    """An open trajectory file, read in blocks, so that a file larger than memory works.

    Attributes:
        system: The atoms.
        segments: The stretches of frames that are uniform in time.
        fields: Which of velocities, forces and energies the file holds.
        velocity_source: Where the velocities come from; none if there are none.
        metadata: What made the trajectory.
    """

    system: System
    segments: tuple[Segment, ...]
    fields: frozenset[str]
    velocity_source: VelocitySource | None
    metadata: dict[str, str]

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

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

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

        Raises:
            DataError: If the block does not continue the file, or the disk is full.
        """

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
