"""Reconstruction: a coarse trajectory file in, a fine one out, gap by gap, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from neuralmd.data.files import TrajectoryReader
from neuralmd.data.formats import create, open_reader
from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource
from neuralmd.data.windows import Frames, cut
from neuralmd.errors import DataError
from neuralmd.interpolators.base import Interpolator
from neuralmd.system import System
from neuralmd.training.checkpoint import require_same_atoms

_GAPS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """How to fill gaps.

    Attributes:
        method: What fills them.
        stride: Frames from one anchor to the next in what comes out; `stride - 1` are rebuilt in each gap.
        trained_on: The molecule that the method knows; none for a method that takes any.
        metadata: What the output shall say of the method.
        timestep: Time from anchor to anchor [fs], for a coarse file that does not state it.
    """

    method: Interpolator
    stride: int
    trained_on: System | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    timestep: float | None = None


def reconstruct(
    coarse: Path,
    output: Path,
    how: Reconstruction,
    *,
    overwrite: bool = False,
    advance: Callable[[int], None] | None = None,
) -> int:
    """Write the fine trajectory of a coarse one. Anchors are copied bit for bit.

    Args:
        coarse: The coarse file.
        output: The fine file; it takes its name when it is whole.
        how: The method and the stride.
        overwrite: Whether an output that exists may be replaced.
        advance: Called with the number of gaps filled.

    Returns:
        Number of frames written.

    Raises:
        DataError: If the coarse file cannot be read, holds no gap, or lacks what the method needs.
        SolverError: If an ODE cannot be solved.
        CheckpointError: If the file is of another molecule than the method knows.
    """
    if how.stride < 2:
        raise DataError(f"the stride must be at least 2, or there is nothing to rebuild, but is {how.stride}")
    with open_reader(coarse, timestep=how.timestep) as reader:
        _require_gaps(reader, coarse, how)
        if how.trained_on is not None:
            require_same_atoms(how.trained_on, reader.system, coarse)
        velocities = "velocities" in reader.fields
        with create(
            output,
            reader.system,
            timestep=reader.segments[0].timestep / how.stride,
            fields=frozenset({"velocities"}) if velocities else frozenset(),
            velocity_source=VelocitySource.RECONSTRUCTED if velocities else None,
            metadata={
                **reader.metadata,
                **how.metadata,
                "reconstructed_from": coarse.name,
                "reconstructed_stride": str(how.stride),
                "anchor_velocities": str(reader.velocity_source) if velocities else "none",
            },
            overwrite=overwrite,
        ) as writer:
            gaps = written = 0
            for segment in reader.segments:
                writer.start_segment(segment.timestep / how.stride)
                for block, filled in _blocks(reader, segment, how):
                    writer.append(block)
                    gaps, written = gaps + filled, written + len(block)
                    if advance is not None:
                        advance(gaps)
    return written


@dataclass(frozen=True)
class Gaps:
    """The gaps of a coarse file.

    Attributes:
        count: How many.
        lengths: Their lengths, each once [fs].
    """

    count: int
    lengths: tuple[float, ...]


def gaps_of(path: Path, timestep: float | None = None) -> Gaps:
    """The gaps of a coarse file. Arguments and errors are those of `neuralmd.data.formats.open_reader`."""
    with open_reader(path, timestep=timestep) as reader:
        filled = [segment for segment in reader.segments if segment.length > 1]
    lengths = dict.fromkeys(segment.timestep for segment in filled)
    return Gaps(sum(segment.length - 1 for segment in filled), tuple(lengths))


def _require_gaps(reader: TrajectoryReader, coarse: Path, how: Reconstruction) -> None:
    if all(segment.length < 2 for segment in reader.segments):
        raise DataError(f"{coarse}: one frame is no gap to fill; a coarse trajectory needs at least two frames")
    if how.method.boundary_frames > 1:
        raise DataError(
            f"{coarse}: this method reads {how.method.boundary_frames} consecutive fine frames at each anchor, which "
            "no coarse file has; train with model.boundary_frames=1, or take another --method"
        )
    if how.method.needs_velocities and "velocities" not in reader.fields:
        raise DataError(
            f"{coarse}: holds no velocities, which this method needs; write them with the simulation, derive them from "
            "the fine frames with `neuralmd thin --velocities central`, or take --method linear or cubic_spline"
        )
    if how.method.needs_forces and "forces" not in reader.fields:
        raise DataError(f"{coarse}: holds no forces, which this method needs; take --method cubic_hermite")


def _blocks(reader: TrajectoryReader, segment: Segment, how: Reconstruction) -> Iterator[tuple[Trajectory, int]]:
    """The fine frames of a segment, and how many gaps each block fills; each block ends before an anchor."""
    last = segment.stop - 1
    for first in range(segment.start, last, _GAPS_AT_ONCE):
        stop = min(first + _GAPS_AT_ONCE, last)
        margin = how.method.context
        lowest = max(first - margin, segment.start)
        known = reader.read(lowest, min(stop + margin, last) + 1)
        filled = _fill(known, range(first - lowest, stop - lowest), how)
        yield filled, stop - first
    yield _anchors(reader.read(last, last + 1), segment.timestep / how.stride), 0


@torch.no_grad()
def _fill(known: Trajectory, gaps: range, how: Reconstruction) -> Trajectory:
    """The fine frames from the first gap's anchor up to, without it, the last gap's second anchor."""
    parameter = next(how.method.parameters(), torch.zeros((), dtype=torch.float64))
    frames = Frames.of(known, parameter.device, velocities_needed=how.method.needs_velocities)
    starts = torch.arange(gaps.start, gaps.stop)
    anchors = cut(frames, starts, 1, parameter.dtype, how.method.context).anchors
    times = torch.arange(1, how.stride, dtype=parameter.dtype, device=parameter.device) * (anchors.gap / how.stride)
    path = how.method(anchors, times)
    rows = slice(gaps.start, gaps.stop)
    velocities = known.velocities
    return Trajectory.uniform(
        known.system,
        _weave(known.positions[rows], path.positions),
        known.timestep / how.stride,
        velocities=None if velocities is None else _weave(velocities[rows], path.velocities),
        velocity_source=None if velocities is None else VelocitySource.RECONSTRUCTED,
    )


def _weave(
    anchors: Float[np.ndarray, "gaps atoms 3"], hidden: Float[torch.Tensor, "time gaps atoms 3"]
) -> Float[np.ndarray, "frames atoms 3"]:
    """Each gap's first anchor followed by its hidden frames."""
    rebuilt = hidden.double().cpu().numpy().transpose(1, 0, 2, 3)
    return np.concatenate((anchors[:, None], rebuilt), axis=1).reshape(-1, *anchors.shape[1:])


def _anchors(known: Trajectory, timestep: float) -> Trajectory:
    source = None if known.velocities is None else VelocitySource.RECONSTRUCTED
    return Trajectory.uniform(
        known.system, known.positions, timestep, velocities=known.velocities, velocity_source=source
    )
