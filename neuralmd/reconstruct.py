"""Reconstruction: a coarse trajectory file in, a fine one out, gap by gap, in constant memory.

Blocks of gaps are filled one after the other and kept in the folder OUTPUT.blocks, from which the output is joined at
the end. A kill at any point loses one block at most, and a resumed run ends with the same bytes as an unbroken one.
"""

from __future__ import annotations

import filecmp
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import TrajectoryReader, TrajectoryWriter
from neuralmd.data.formats import create, holds, open_reader
from neuralmd.data.frame_blocks import FrameBlocks
from neuralmd.data.gaps import Gaps, gaps_of
from neuralmd.data.periodic import WrappedWriter
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.data.work_folder import WorkFolder
from neuralmd.errors import DataError
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.coarse import with_velocities
from neuralmd.interpolators.filling import fill
from neuralmd.interpolators.shooting import MARGIN, Dynamics
from neuralmd.system import System
from neuralmd.training.checkpoint import require_same_atoms

__all__ = ["Gaps", "Reconstruction", "gaps_of", "reconstruct"]

_GAPS_AT_ONCE = 64
_BLOCK_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """How to fill gaps.

    Attributes:
        method: What fills them.
        stride: Frames from one anchor to the next in what comes out; `stride - 1` are rebuilt in each gap.
        trained_on: The molecule that the method knows; none for a method that takes any.
        metadata: What the output shall say of the method.
        timestep: Time from anchor to anchor [fs], for a coarse file that does not state it.
        declared: What else the user says about the coarse file.
        wrap: Whether positions shall be put back into a periodic cell.
        dynamics: What infers the anchors' velocities for a file that has none; none to refuse it.
    """

    method: Interpolator
    stride: int
    trained_on: System | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    timestep: float | None = None
    declared: Declared = AS_IT_IS
    wrap: bool = False
    dynamics: Dynamics | None = None


def reconstruct(
    coarse: Path,
    output: Path,
    how: Reconstruction,
    *,
    resume: bool = False,
    overwrite: bool = False,
    advance: Callable[[int], None] | None = None,
) -> int:
    """Write the fine trajectory of a coarse one. Anchors are copied, bit for bit where the format has double precision.

    Args:
        coarse: The coarse file.
        output: The fine file; it takes its name when it is whole.
        how: The method and the stride.
        resume: Go on with OUTPUT.blocks where there is one, else start.
        overwrite: Replace an output that exists and, unless resuming, an OUTPUT.blocks that exists.
        advance: Called with the number of gaps filled.

    Returns:
        Number of frames written.

    Raises:
        DataError: If the coarse file cannot be read, holds no gap, or lacks what the method needs; if the output exists
            or cannot be written, or OUTPUT.blocks exists or was begun with something else.
        SolverError: If an ODE cannot be solved.
        CheckpointError: If the file is of another molecule than the method knows.
        KeyboardInterrupt: On Ctrl-C, with a message that says how to go on.
    """
    if how.stride < 2:
        raise DataError(f"the stride must be at least 2, or there is nothing to rebuild, but is {how.stride}")
    with open_reader(coarse, timestep=how.timestep, declared=how.declared) as reader:
        _require_gaps(reader, coarse, how)
        if how.trained_on is not None:
            require_same_atoms(how.trained_on, reader.system, coarse)
        job = _Job(reader, coarse, output, how)
        folder = WorkFolder.beside(output)
        if resume and folder.finished and not folder.begun and output.is_file():
            folder.finish()
            return job.frames
        ended = resume and folder.begun and output.is_file() and not overwrite
        if not ended:
            job.writer(output, overwrite=overwrite).abandon()  # finds a bad output before the work, not after it
        folder.open(job.request(), "reconstruction", resume=resume, overwrite=overwrite)
        try:
            job.fill(FrameBlocks(folder), advance or _no_progress)
            written = job.join_again(folder) if ended else job.join(folder, job.writer(output, overwrite=overwrite))
        except KeyboardInterrupt:
            message = f"stopped; what was rebuilt is in {folder.path}: go on with the same command and --resume"
            raise KeyboardInterrupt(message) from None
    folder.finish()
    return written


def _require_gaps(reader: TrajectoryReader, coarse: Path, how: Reconstruction) -> None:
    if all(segment.length < 2 for segment in reader.segments):
        raise DataError(f"{coarse}: one frame is no gap to fill; a coarse trajectory needs at least two frames")
    if how.method.boundary_frames > 1:
        raise DataError(
            f"{coarse}: this method reads {how.method.boundary_frames} consecutive fine frames at each anchor, which "
            "no coarse file has; train with model.boundary_frames=1, or take another --method"
        )
    if how.method.needs_velocities and "velocities" not in reader.fields and how.dynamics is None:
        raise DataError(
            f"{coarse}: holds no velocities, which this method needs; write them with the simulation, derive them from "
            "the fine frames with `neuralmd thin --velocities central`, or take --method linear or cubic_spline"
        )
    if how.method.needs_forces and "forces" not in reader.fields:
        raise DataError(f"{coarse}: holds no forces, which this method needs; take --method cubic_hermite")


@dataclass(frozen=True)
class _Piece:
    """A block of gaps: those that begin at frames first..stop - 1 of a segment, none for a segment of one frame."""

    segment: int
    first: int
    stop: int


class _Job:
    """A coarse file that is being filled, block by block."""

    def __init__(self, reader: TrajectoryReader, coarse: Path, output: Path, how: Reconstruction) -> None:
        self._reader, self._coarse, self._output, self._how = reader, coarse, output, how
        self._velocities = "velocities" in reader.fields & holds(output)
        self._pieces = self._plan()
        known = "velocities" in reader.fields
        self._inference = how.dynamics if how.method.needs_velocities and not known else None
        own = reader.velocity_source if known else "none"
        self._anchors = str(VelocitySource.INFERRED if self._inference is not None else own)

    def _plan(self) -> list[_Piece]:
        gap = 48 * self._reader.system.atoms * self._how.stride
        most = max(1, min(_GAPS_AT_ONCE, _BLOCK_BYTES // gap))
        return [
            _Piece(number, first, min(first + most, segment.stop - 1))
            for number, segment in enumerate(self._reader.segments)
            for first in range(segment.start, max(segment.stop - 1, segment.start + 1), most)
        ]

    @property
    def frames(self) -> int:
        """Number of frames of the output."""
        return sum((segment.length - 1) * self._how.stride + 1 for segment in self._reader.segments)

    def request(self) -> dict[str, object]:
        """All that the result depends on."""
        how, parameter = self._how, next(self._how.method.parameters(), None)
        weights = hashlib.sha256()
        for name, values in sorted(how.method.state_dict().items()):
            weights.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            weights.update(values.detach().cpu().numpy().tobytes())
        return {
            "coarse": {"name": self._coarse.name, "sha256": _digest(self._coarse)},
            "stride": how.stride,
            "method": {**how.metadata, "class": type(how.method).__name__, "weights": weights.hexdigest()},
            "device": "cpu" if parameter is None else parameter.device.type,
            "timestep": how.timestep,
            "declared": {key: None if value is None else str(value) for key, value in asdict(how.declared).items()},
            "wrap": how.wrap,
            "velocities": self._velocities,
            "anchor_velocities": self._anchors,
            "blocks": len(self._pieces),
        }

    def fill(self, blocks: FrameBlocks, advance: Callable[[int], None]) -> None:
        """Fill the gaps of all blocks that are missing."""
        gaps = [piece.stop - piece.first for piece in self._pieces]
        for index in blocks.missing(len(self._pieces), self._like(0)):
            advance(sum(gaps[:index]))
            blocks.write(index, self._fill(self._pieces[index]))
        advance(sum(gaps))

    def join(self, folder: WorkFolder, writer: TrajectoryWriter) -> int:
        """Write all blocks into one file; return the number of its frames."""
        blocks, written, segment = FrameBlocks(folder), 0, -1
        with writer:
            for index, piece in enumerate(self._pieces):
                like = self._like(piece.segment)
                if piece.segment != segment:
                    segment = piece.segment
                    writer.start_segment(like.timestep)
                block = blocks.read(index, like)
                writer.append(block)
                written += len(block)
        return written

    def join_again(self, folder: WorkFolder) -> int:
        """Join where a file of the output's name is there already: it may be the result of a run killed just after.

        Raises:
            DataError: If it is another file.
        """
        again = self._output.with_name(f".{self._output.stem}.again{self._output.suffix}")
        try:
            written = self.join(folder, self.writer(again, overwrite=True))
            if not filecmp.cmp(again, self._output, shallow=False):
                raise DataError(f"{self._output} exists already: give another name, or --overwrite")
        finally:
            again.unlink(missing_ok=True)
        return written

    def writer(self, path: Path, *, overwrite: bool) -> TrajectoryWriter:
        """A new file for the result."""
        reader, how = self._reader, self._how
        writer = create(
            path,
            reader.system,
            timestep=self._like(0).timestep,
            fields=frozenset({"velocities"}) if self._velocities else frozenset(),
            velocity_source=self._like(0).velocity_source,
            metadata={
                **reader.metadata,
                **how.metadata,
                "reconstructed_from": self._coarse.name,
                "reconstructed_stride": str(how.stride),
                "anchor_velocities": self._anchors,
            },
            overwrite=overwrite,
        )
        return WrappedWriter(writer, reader.system, path) if how.wrap else writer

    def _like(self, segment: int) -> Trajectory:
        """No frames, but all else that the rebuilt frames of a segment have."""
        none = np.zeros((0, self._reader.system.atoms, 3))
        timestep = self._reader.segments[segment].timestep / self._how.stride
        source = VelocitySource.RECONSTRUCTED if self._velocities else None
        velocities = none if self._velocities else None
        return Trajectory.uniform(self._reader.system, none, timestep, velocities=velocities, velocity_source=source)

    def _fill(self, piece: _Piece) -> Trajectory:
        """The fine frames of a block; those of a segment's last block end with the segment's last anchor."""
        segment = self._reader.segments[piece.segment]
        margin = max(self._how.method.context, 0 if self._inference is None else MARGIN)
        lowest = max(piece.first - margin, segment.start)
        known = self._reader.read(lowest, min(piece.stop + margin, segment.stop - 1) + 1)
        if self._inference is not None and len(known) > 1:
            known = with_velocities(known, self._inference)[0]
        gaps = range(piece.first - lowest, piece.stop - lowest)
        arrays = fill(self._how.method, known, gaps, self._how.stride) if gaps else {}
        if piece.stop == segment.stop - 1:
            anchors = {"positions": known.positions, "velocities": known.velocities}
            ends = {name: array[-1:] for name, array in anchors.items() if array is not None}
            arrays = {name: np.concatenate((*([arrays[name]] if arrays else []), end)) for name, end in ends.items()}
        like = self._like(piece.segment)
        return Trajectory.uniform(
            like.system,
            arrays["positions"],
            like.timestep,
            velocities=arrays["velocities"] if self._velocities else None,
            velocity_source=like.velocity_source,
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_progress(done: int) -> None:
    del done
