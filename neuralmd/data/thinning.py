"""A fine trajectory file in, a coarse one out: every K-th frame, with velocities whose source is declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import TrajectoryReader
from neuralmd.data.formats import create, holds, open_reader
from neuralmd.data.order import require_trajectory, sample_length
from neuralmd.data.periodic import WrappedWriter
from neuralmd.data.stencils import REACH
from neuralmd.data.trajectory import (
    Segment,
    Trajectory,
    VelocitySource,
    with_central_velocities,
    with_seven_point_velocities,
)
from neuralmd.errors import DataError

_BLOCK_FRAMES: Final = 4096


@dataclass(frozen=True)
class Thinning:
    """Which frames to keep.

    Attributes:
        stride: Frames from one kept frame to the next, K.
        velocities: `stored` keeps the file's own, `central` takes central differences of the fine frames,
            `seven_point` takes them from three frames on either side, `auto` prefers the file's own.
        start: First frame that may be kept.
        stop: Frame before which to end; none for the end of the file.
        timestep: Time from frame to frame [fs]; only for files that state none.
        declared: What else the user says about the file.
        wrap: Whether positions shall be put back into a periodic cell.
    """

    stride: int
    velocities: Literal["auto", "stored", "central", "seven_point"] = "auto"
    start: int = 0
    stop: int | None = None
    timestep: float | None = None
    declared: Declared = AS_IT_IS
    wrap: bool = False

    def __post_init__(self) -> None:
        if self.stride < 2:
            raise DataError(f"the stride should be at least 2, but is {self.stride}")
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise DataError(
                f"frames should run from a start >= 0 to a later stop, but from {self.start} to {self.stop}"
            )


def thin(fine: Path, coarse: Path, thinning: Thinning, *, overwrite: bool = False) -> int:
    """Write every K-th frame of each segment of a file into another, block by block.

    The first frame kept is the first that has velocities: with central differences, the second of a segment (of seven
    points, the fourth). A segment
    that would keep fewer than two frames is left out, because it holds no gap.

    Args:
        fine: File to read.
        coarse: File to write.
        thinning: Which frames to keep.
        overwrite: Whether a file that exists may be replaced.

    Returns:
        Number of frames written.

    Raises:
        DataError: If the file cannot be read, is no trajectory, has no velocities where its own are asked for, or is
            shorter than the stride; if the output exists or is the input.
    """
    with open_reader(fine, timestep=thinning.timestep, declared=thinning.declared) as reader:
        if coarse.exists() and coarse.samefile(fine):
            raise DataError(f"{coarse} is the fine file itself: give another name for the coarse one")
        _refuse_shuffled(reader)
        derived = _derived(reader, thinning, fine)
        kept = _kept_frames(reader.segments, thinning, margin=0 if derived is None else derived.margin)
        if not kept:
            raise DataError(
                f"{fine}: a stride of {thinning.stride} leaves no two frames of its longest segment "
                f"({max(segment.length for segment in reader.segments)} frames): take a smaller stride"
            )
        file = create(
            coarse,
            reader.system,
            timestep=kept[0][0].timestep * thinning.stride,
            fields=(reader.fields | {"velocities"}) & holds(coarse),
            velocity_source=reader.velocity_source if derived is None else derived.source,
            metadata={**reader.metadata, "thinned_from": fine.name, "thinned_stride": str(thinning.stride)},
            overwrite=overwrite,
        )
        with WrappedWriter(file, reader.system, coarse) if thinning.wrap else file as writer:
            for segment, frames in kept:
                writer.start_segment(segment.timestep * thinning.stride)
                for block in _blocks(reader, frames, derived):
                    writer.append(block)
    return sum(len(frames) for _, frames in kept)


def _refuse_shuffled(reader: TrajectoryReader) -> None:
    longest = max(reader.segments, key=lambda segment: segment.length)
    require_trajectory(reader.read(longest.start, longest.start + sample_length(longest, reader.system.atoms)))


@dataclass(frozen=True)
class _Derived:
    """Velocities that are derived from the fine frames, of which they need some on either side."""

    source: VelocitySource
    margin: int
    derive: Callable[[Trajectory], Trajectory]


def _derived(reader: TrajectoryReader, thinning: Thinning, fine: Path) -> _Derived | None:
    """How velocities are derived; none where the file's own are kept."""
    stored = "velocities" in reader.fields
    if thinning.velocities == "stored" and not stored:
        raise DataError(f"{fine} has no velocities: derive them with --velocities central")
    if thinning.velocities == "seven_point":
        return _Derived(VelocitySource.SEVEN_POINT, REACH, with_seven_point_velocities)
    if thinning.velocities == "central" or not stored:
        return _Derived(VelocitySource.CENTRAL, 1, with_central_velocities)
    return None


def _kept_frames(segments: tuple[Segment, ...], thinning: Thinning, *, margin: int) -> list[tuple[Segment, range]]:
    """The frames to keep of each segment; `margin` frames at either end of a segment cannot be kept."""
    kept = []
    for segment in segments:
        first = max(segment.start + margin, thinning.start)
        stop = segment.stop - margin
        stop = stop if thinning.stop is None else min(stop, thinning.stop)
        frames = range(first, stop, thinning.stride)
        if len(frames) >= 2:
            kept.append((segment, frames))
    return kept


def _blocks(reader: TrajectoryReader, frames: range, derived: _Derived | None) -> Iterator[Trajectory]:
    """The frames to keep, in blocks."""
    margin = 0 if derived is None else derived.margin
    most = max(1, _BLOCK_FRAMES // frames.step)
    for begin in range(0, len(frames), most):
        part = frames[begin : begin + most]
        block = reader.read(part[0] - margin, part[-1] + 1 + margin)
        block = block if derived is None else derived.derive(block)
        yield block.slice(0, len(block), frames.step)
