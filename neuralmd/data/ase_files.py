"""Trajectory files of ASE: extended XYZ and .traj, read and written block by block."""

from __future__ import annotations

import contextlib
import io
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from neuralmd.data.ase_frames import block_of, fields_of, header_of, images_of, segments_of, system_of
from neuralmd.data.files import (
    AtomicFile,
    FileHeader,
    TrajectoryReader,
    TrajectoryWriter,
    check_range,
    reading,
    writing,
)
from neuralmd.data.segments import SegmentLog, clip, settle
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError
from neuralmd.units import ASE_TIME

if TYPE_CHECKING:
    from ase import Atoms

_CLOCK_KEY: Final = re.compile(rb'(?:^|\s)(time_fs|timestep_fs|segment)=([^\s"]+)')
_CLOCK_KEYS: Final = ("time_fs", "timestep_fs", "segment")


class AseReader(TrajectoryReader):
    """What the readers of both formats share: frames that ASE has read become a block."""

    _kind: str
    _path: Path

    @abstractmethod
    def _images(self, start: int, stop: int) -> list[Atoms]:
        """The frames from start up to stop, as ASE reads them."""

    def _begin(self, stated: tuple[Segment, ...] | None, timestep: float | None, frames: int) -> None:
        """Take everything but the frames from the file's first frame and its times."""
        self.segments = settle(stated, timestep, frames, self._path)
        first = self._images(0, 1)[0]
        self.system = system_of(first)
        self.fields = fields_of(first)
        self.metadata, self.velocity_source = header_of(first)

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        check_range(start, stop, self.frames, self._path)
        with reading(self._path, self._kind):
            arrays = block_of(self._images(start, stop), start, self.system, self.fields, self._path)
        return Trajectory(
            self.system,
            arrays["positions"],
            clip(self.segments, start, stop),
            velocities=arrays.get("velocities"),
            velocity_source=self.velocity_source,
            forces=arrays.get("forces"),
            energies=arrays.get("energies"),
            metadata=self.metadata,
        )


class XyzReader(AseReader):
    """Reads extended or plain XYZ. Opening scans the file once for where each frame begins."""

    def __init__(self, path: Path, *, timestep: float | None = None) -> None:
        self._path, self._kind = path, "extended XYZ"
        with contextlib.ExitStack() as stack, reading(path, self._kind):
            self._file = stack.enter_context(path.open("rb"))
            self._offsets, clocks = _scan(self._file, path)
            self._begin(segments_of(clocks, path), timestep, len(clocks))
            stack.pop_all()

    def _images(self, start: int, stop: int) -> list[Atoms]:
        import ase.io

        if start == stop:
            return []
        self._file.seek(self._offsets[start])
        text = self._file.read(self._offsets[stop] - self._offsets[start]).decode()
        return list(ase.io.iread(io.StringIO(text), index=":", format="extxyz"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class AseTrajReader(AseReader):
    """Reads ASE's own .traj."""

    def __init__(self, path: Path, *, timestep: float | None = None) -> None:
        from ase.io.trajectory import TrajectoryReader as AseTrajectory

        self._path, self._kind = path, "an ASE .traj"
        with contextlib.ExitStack() as stack, reading(path, self._kind):
            # Opened here, since ASE leaves a file open that it cannot read.
            self._raw = stack.enter_context(path.open("rb"))
            self._file = AseTrajectory(self._raw)
            frames = len(self._file)
            self._begin(self._stated_segments(frames) if frames else None, timestep, frames)
            stack.pop_all()

    def _stated_segments(self, frames: int) -> tuple[Segment, ...] | None:
        """By neuralmd's keys; else by the description that ASE's molecular dynamics leaves in the file."""
        first, last = self._clock(0), self._clock(frames - 1)
        step = first.get("timestep_fs")
        if step is not None and last.get("segment") == first.get("segment"):
            return (Segment(0, frames, float(step)),)
        if {"time_fs", "timestep_fs"} & first.keys():
            return segments_of([self._clock(i) for i in range(frames)], self._path)
        description = cast("dict[str, Any]", self._file.description or {})
        if "md-type" in description and "timestep" in description:
            return (Segment(0, frames, description["timestep"] * description.get("interval", 1) * ASE_TIME),)
        return None

    def _clock(self, index: int) -> dict[str, Any]:
        return {key: value for key, value in self._images(index, index + 1)[0].info.items() if key in _CLOCK_KEYS}

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


class XyzWriter(AseWriter):
    """Writes extended XYZ, with ASE's eight decimals."""

    def _open(self) -> None:
        self._file = self._target.part.open("w", encoding="utf-8")

    def _write(self, images: list[Atoms]) -> None:
        from ase.io.extxyz import write_extxyz

        write_extxyz(self._file, images)

    def _close(self) -> None:
        self._file.close()


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


def _scan(file: BinaryIO, path: Path) -> tuple[list[int], list[Mapping[str, Any]]]:
    """Where each frame begins, and the end of the last; and the keys of each comment line that tell time."""
    offsets, clocks = [0], []
    atoms = None
    while header := file.readline().strip():
        index = len(clocks)
        if not header.isdigit():
            raise DataError(f"{path}: frame {index} should begin with its number of atoms, but has {header[:40]!r}")
        count = int(header)
        atoms = count if atoms is None else atoms
        if count != atoms:
            raise DataError(
                f"{path}: the atoms change in frame {index}: it has {count}, frame 0 has {atoms}; "
                "keep one molecule, in one order, in a file"
            )
        clocks.append({key.decode(): float(value) for key, value in _CLOCK_KEY.findall(file.readline())})
        rows = [file.readline() for _ in range(count)]
        if not rows or (not rows[-1].endswith(b"\n") and len(rows[-1].split()) < 4):
            raise DataError(f"{path} is truncated in frame {index}: cut it before that frame")
        offsets.append(file.tell())
    if any(line.strip() for line in file):
        raise DataError(f"{path} has an empty line after frame {len(clocks) - 1}, but more text after it: remove it")
    return offsets, clocks
