"""A coarse file that is being filled: its blocks of gaps, each by itself, and the one file that they become."""

from __future__ import annotations

import filecmp
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from neuralmd.data.files import TrajectoryReader, TrajectoryWriter
from neuralmd.data.formats import create, holds
from neuralmd.data.frame_blocks import FrameBlocks
from neuralmd.data.periodic import WrappedWriter
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.data.trust import TRUST_FIELDS, Trust, join
from neuralmd.data.work_folder import WorkFolder
from neuralmd.errors import DataError
from neuralmd.interpolators.batches import gaps_at_once
from neuralmd.interpolators.coarse import with_velocities
from neuralmd.interpolators.doubts import Doubts
from neuralmd.interpolators.shooting import MARGIN
from neuralmd.interpolators.splines import CubicHermite, NaturalCubicSpline
from neuralmd.interpolators.watching import Watch, fill_watched
from neuralmd.reconstruction.request import Fallback, Reconstruction

_GAPS_AT_ONCE = 64
_TIMES_MORE_ON_A_GPU = 16
_BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class Piece:
    """A block of gaps: those that begin at frames first..stop - 1 of a segment, none for a segment of one frame."""

    segment: int
    first: int
    stop: int

    @property
    def gaps(self) -> int:
        """How many."""
        return self.stop - self.first


class Job:
    """A coarse file that is being filled, block by block.

    Attributes:
        pieces: Its blocks.
        batch: How many gaps are filled together, on which the last digits of the result may depend.
        level: Part of all components that error bars are for; none without error bars.

    Args:
        reader: The file, open.
        coarse: Its name.
        output: The name of what it becomes.
        how: The method and the stride.
    """

    def __init__(self, reader: TrajectoryReader, coarse: Path, output: Path, how: Reconstruction) -> None:
        self._reader, self._coarse, self._output, self._how = reader, coarse, output, how
        self._velocities = "velocities" in reader.fields & holds(output)
        self.pieces = self._plan()
        chosen = how.method.at_once or gaps_at_once(how.method, reader.system.atoms, how.stride)
        self.batch = min(chosen, max(piece.gaps for piece in self.pieces))
        known = "velocities" in reader.fields
        self._inference = how.dynamics if how.infers(reader) else None
        self._method = how.method if self._inference is None else how.method.for_inferred_velocities()
        self._anchors = str(
            VelocitySource.INFERRED if self._inference is not None else reader.velocity_source or "none"
        )
        spline = CubicHermite() if known or self._inference is not None else NaturalCubicSpline()
        self._watch = Watch(how.seen, how.max_error, spline if how.fallback is Fallback.SPLINE else None)
        levels = [self._method.error_bar_level(each.timestep) for each in reader.segments if each.length > 1]
        self.level = next((level for level in levels if level is not None), None)
        self._trust = self._kept_trust()

    def _plan(self) -> list[Piece]:
        gap = 48 * self._reader.system.atoms * self._how.stride
        on_gpu = any(each.is_cuda for each in self._how.method.parameters())
        at_once = _GAPS_AT_ONCE * (_TIMES_MORE_ON_A_GPU if on_gpu else 1)
        most = max(1, min(at_once, _BLOCK_BYTES // gap))
        return [
            Piece(number, first, min(first + most, segment.stop - 1))
            for number, segment in enumerate(self._reader.segments)
            for first in range(segment.start, max(segment.stop - 1, segment.start + 1), most)
        ]

    def _kept_trust(self) -> frozenset[str]:
        """What of bars and flags there is to write."""
        checked = self.level is not None or self._how.seen is not None or self._how.max_error is not None
        there = TRUST_FIELDS if self.level is not None else frozenset({"flags"}) if checked else frozenset()
        return there & holds(self._output)

    @property
    def frames(self) -> int:
        """Number of frames of the output."""
        return sum((segment.length - 1) * self._how.stride + 1 for segment in self._reader.segments)

    def request(self) -> dict[str, object]:
        """All that the result depends on and that may not differ when it is gone on with; `batch` may."""
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
            "trust": ", ".join(sorted(self._trust)) or "none",
            "max_error": how.max_error,
            "fallback": str(how.fallback),
            "blocks": len(self.pieces),
        }

    def fill(self, blocks: FrameBlocks, mine: Sequence[int], advance: Callable[[int], None]) -> None:
        """Fill the gaps of those of the given blocks that are missing; `advance` takes the number of gaps done."""
        done = [0, *np.cumsum([self.pieces[index].gaps for index in mine]).tolist()]
        place = {index: position for position, index in enumerate(mine)}
        for index in blocks.missing(mine, self._like(0)):
            advance(done[place[index]])
            block, doubts = self._fill(self.pieces[index])
            blocks.write(index, block, doubts.to_json())
        advance(done[-1])

    def join(self, folder: WorkFolder, writer: TrajectoryWriter) -> Doubts:
        """Write all blocks into one file; return what there is to say of their gaps."""
        blocks, segment, doubts = FrameBlocks(folder), -1, Doubts()
        with writer:
            for index, piece in enumerate(self.pieces):
                like = self._like(piece.segment)
                if piece.segment != segment:
                    segment = piece.segment
                    writer.start_segment(like.timestep)
                writer.append(blocks.read(index, like))
                doubts = doubts.plus(Doubts.from_json(blocks.remark(index)), self._how.seen)
        return doubts

    def join_again(self, folder: WorkFolder) -> Doubts:
        """Join where a file of the output's name is there already: it may be the result of a run killed just after.

        Raises:
            DataError: If it is another file.
        """
        again = self._output.with_name(f".{self._output.stem}.again{self._output.suffix}")
        try:
            doubts = self.join(folder, self.writer(again, overwrite=True))
            if not filecmp.cmp(again, self._output, shallow=False):
                raise DataError(f"{self._output} exists already: give another name, or --overwrite")
        finally:
            again.unlink(missing_ok=True)
        return doubts

    def writer(self, path: Path, *, overwrite: bool) -> TrajectoryWriter:
        """A new file for the result."""
        reader, how = self._reader, self._how
        writer = create(
            path,
            reader.system,
            timestep=self._like(0).timestep,
            fields=(frozenset({"velocities"}) if self._velocities else frozenset()) | self._trust,
            velocity_source=self._like(0).velocity_source,
            metadata={
                **reader.metadata,
                **how.metadata,
                "reconstructed_from": self._coarse.name,
                "reconstructed_stride": str(how.stride),
                "anchor_velocities": self._anchors,
                **self._trust_metadata(),
            },
            overwrite=overwrite,
        )
        return WrappedWriter(writer, reader.system, path) if how.wrap else writer

    def _trust_metadata(self) -> dict[str, str]:
        """What error bars and flags rest on."""
        found = {}
        if "error_bars" in self._trust:
            found["error_bar_level"] = f"{self.level:g}"
        if "flags" in self._trust:
            found["compared_with_training_data"] = "no" if self._how.seen is None else "yes"
        if self._how.max_error is not None:
            found |= {"max_error_A": f"{self._how.max_error:g}", "fallback": str(self._how.fallback)}
        return found

    def _like(self, segment: int) -> Trajectory:
        """No frames, but all else that the rebuilt frames of a segment have."""
        none = np.zeros((0, self._reader.system.atoms, 3))
        timestep = self._reader.segments[segment].timestep / self._how.stride
        source = VelocitySource.RECONSTRUCTED if self._velocities else None
        velocities = none if self._velocities else None
        return Trajectory.uniform(self._reader.system, none, timestep, velocities=velocities, velocity_source=source)

    def _fill(self, piece: Piece) -> tuple[Trajectory, Doubts]:
        """The fine frames of a block; those of a segment's last block end with the segment's last anchor."""
        segment, like = self._reader.segments[piece.segment], self._like(piece.segment)
        context = max(self._method.context, 0 if self._watch.fallback is None else self._watch.fallback.context)
        margin = max(context, 0 if self._inference is None else MARGIN)
        lowest = max(piece.first - margin, segment.start)
        known = self._reader.read(lowest, min(piece.stop + margin, segment.stop - 1) + 1)
        if self._inference is not None and len(known) > 1:
            known = with_velocities(known, self._inference)[0]
        positions, velocities, trust, doubts = [], [], [], Doubts()
        if piece.gaps:
            gaps = range(piece.first - lowest, piece.stop - lowest)
            watch = replace(self._watch, at_once=self.batch)
            found = fill_watched(self._method, known, gaps, self._how.stride, watch)
            doubts = found.doubts
            positions, velocities, trust = [found.positions], [found.velocities], [found.trust]
        if piece.stop == segment.stop - 1:
            positions.append(known.positions[-1:])
            velocities.append(None if known.velocities is None else known.velocities[-1:])
            trust.append(Trust.anchors(1, known.system.atoms))
        frames = np.concatenate(positions)
        moving = [each for each in velocities if each is not None] if self._velocities else []
        block = Trajectory.uniform(
            like.system,
            frames,
            like.timestep,
            velocities=np.concatenate(moving) if moving else None,
            velocity_source=like.velocity_source,
        )
        return replace(block, trust=self._kept(join(trust))), doubts

    def _kept(self, trust: Trust | None) -> Trust | None:
        """What of it is written."""
        if trust is None or not self._trust:
            return None
        return trust if "error_bars" in self._trust else Trust(trust.flags)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
