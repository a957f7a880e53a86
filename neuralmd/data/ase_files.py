"""Trajectory files through ASE, frames as its `Atoms`: what all of them share, and ASE's own .traj."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from neuralmd.data.ase_frames import (
    block_of,
    fields_of,
    header_of,
    images_of,
    md_timestep,
    system_of,
    take_velocities,
    velocities_unread,
)
from neuralmd.data.clocks import KEYS, Clocks
from neuralmd.data.declared import AS_IT_IS, Declared, VelocityUnit
from neuralmd.data.files import (
    AtomicFile,
    FileHeader,
    TrajectoryReader,
    TrajectoryWriter,
    check_range,
    reading,
    writing,
)
from neuralmd.data.segments import SegmentLog, settle
from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource
from neuralmd.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms


class AseReader(TrajectoryReader):
    """What all readers through ASE share: frames that ASE has read become a block."""

    velocity_unit = VelocityUnit.ASE
    _kind: str
    _path: Path
    _declared: Declared

    @abstractmethod
    def _images(self, start: int, stop: int) -> list[Atoms]:
        """The frames from start up to stop, as ASE reads them."""

    def _begin(self, stated: tuple[Segment, ...] | None, frames: int) -> None:
        """Take everything but the frames from the file's first frame and its times."""
        self.segments = settle(stated, self._declared.timestep, frames, self._path)
        first = self._images(0, 1)[0]
        self.system = system_of(first)
        self.fields = fields_of(first)
        self.metadata, self.velocity_source = header_of(first)
        self._column = velocities_unread(first)
        if self._column is None:
            return
        if self._declared.velocity_unit is None:
            told = f"the column {self._column} is not read, since it states no unit: give --velocity-unit"
            self.notes = (*self.notes, f"{told} (data.velocity_unit)")
            self._column = None
        else:
            self.velocity_unit = self._declared.velocity_unit
            self.fields |= {"velocities"}
            self.velocity_source = VelocitySource.STORED

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        check_range(start, stop, self.frames, self._path)
        with reading(self._path, self._kind):
            images = self._images(start, stop)
            if self._column is not None:
                take_velocities(images, self._column, self.velocity_unit, self.system)
            arrays = block_of(images, start, self.system, self.fields, self._path)
        return self.whole(arrays, start, stop)


class AseTrajReader(AseReader):
    """Reads ASE's own .traj."""

    def __init__(self, path: Path, declared: Declared = AS_IT_IS) -> None:
        from ase.io.trajectory import TrajectoryReader as AseTrajectory

        self._path, self._kind, self._declared = path, "an ASE .traj", declared
        with contextlib.ExitStack() as stack, reading(path, self._kind):
            # Opened here, since ASE leaves a file open that it cannot read.
            self._raw = stack.enter_context(path.open("rb"))
            self._file = AseTrajectory(self._raw)
            frames = len(self._file)
            self._begin(self._stated_segments(frames) if frames else None, frames)
            stack.pop_all()

    def _stated_segments(self, frames: int) -> tuple[Segment, ...] | None:
        """By neuralmd's keys; else by the description that ASE's molecular dynamics leaves in the file."""
        first, last = self._clock(0), self._clock(frames - 1)
        step = first.get("timestep_fs")
        if step is not None and last.get("segment") == first.get("segment"):
            return (Segment(0, frames, float(step)),)
        if {"time_fs", "timestep_fs"} & first.keys():
            clocks = Clocks()
            for index in range(frames):
                clocks.add(self._clock(index))
            return clocks.segments(self._path)
        step = md_timestep(self._file.description)
        return None if step is None else (Segment(0, frames, step),)

    def _clock(self, index: int) -> dict[str, Any]:
        return {key: value for key, value in self._images(index, index + 1)[0].info.items() if key in KEYS}

    def _images(self, start: int, stop: int) -> list[Atoms]:
        return [cast("Atoms", self._file[i]) for i in range(start, stop)]

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


class AseWriter(TrajectoryWriter):
    """What the writers of both formats share: blocks become frames for ASE."""

    def __init__(self, path: Path, header: FileHeader, *, overwrite: bool) -> None:
        self._target = AtomicFile(path, overwrite=overwrite)
        self._header = header
        self._log = SegmentLog(header.timestep)
        with writing(self, path):
            self._open()

    @abstractmethod
    def _open(self) -> None:
        """Open the file under its temporary name."""

    @abstractmethod
    def _write(self, images: list[Atoms]) -> None:
        """Write frames after those already written."""

    @abstractmethod
    def _close(self) -> None:
        """Close the file."""

    def append(self, block: Trajectory) -> None:
        """Write the frames of a block after those already written."""
        self._header.check(block, self._target.path)
        first = not self._log.segments
        clock = self._log.extend(block.segments, self._target.path)
        with writing(self, self._target.path):
            self._write(list(images_of(block, self._header, self._log.segments, clock, first=first)))

    def start_segment(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own."""
        self._log.start(timestep)

    def commit(self) -> None:
        """Finish the file and give it its final name."""
        if not self._log.segments:
            self.abandon()
            raise DataError(f"{self._target.path} would hold no frames: none were written")
        with writing(self, self._target.path):
            self._close()
            self._target.commit()

    def abandon(self) -> None:
        """Close and remove what was written."""
        with contextlib.suppress(OSError, AttributeError):
            self._close()
        self._target.discard()


class AseTrajWriter(AseWriter):
    """Writes ASE's own .traj."""

    def _open(self) -> None:
        from ase.io.trajectory import TrajectoryWriter as AseTrajectory

        self._raw = self._target.part.open("wb")
        self._file = AseTrajectory(self._raw, "w")

    def _write(self, images: list[Atoms]) -> None:
        for atoms in images:
            self._file.write(atoms)

    def _close(self) -> None:
        if not self._raw.closed:
            with contextlib.closing(self._raw):
                self._file.close()
