"""What a trajectory file holds and what is suspicious about it, found block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from neuralmd.data.files import TrajectoryReader, block_length
from neuralmd.data.order import OrderTest, check_order, require_trajectory, sample_length
from neuralmd.data.rounding import about_rounding
from neuralmd.data.tally import Tally
from neuralmd.data.trajectory import Segment, VelocitySource
from neuralmd.data.unit_checks import about_lengths, about_velocities, check_units
from neuralmd.units import WAVENUMBER_PERIOD

__all__ = ["Inspection", "check_units", "inspect", "require_trajectory"]

_DRIFT: Final = 0.5
_JUMP: Final = 3.0
_FAR_APART: Final = 2.0
"""Time [fs] between frames from which on central differences lose a fifth of the kinetic energy of a C-H stretch."""

_UNCLEAR: Final = 0.4
"""Part of a cell vector; an atom that moves by half of one from frame to frame may as well have moved the other way."""


@dataclass(frozen=True)
class Inspection:
    """What a trajectory file holds.

    Attributes:
        formula: Chemical formula in Hill order.
        atoms: Number of atoms.
        frames: Number of frames.
        segments: The stretches that are uniform in time.
        fields: Which of velocities, forces and energies the file holds.
        velocity_source: Where the velocities come from; none if there are none.
        temperature: Mean over the frames, see `neuralmd.data.tally.temperatures` [K]; none if unknown.
        temperature_spread: Standard deviation over the frames [K].
        segment_temperatures: Mean of each segment [K], not a number where it has too few frames.
        temperature_from: Which velocities the temperature comes from, in words.
        duration: Time that the segments span together [fs].
        highest_wavenumber: 1 / (2 c dt), the fastest oscillation that the spacing resolves [cm^-1].
        suspicions: What is suspicious, a sentence each.
        notes: What was assumed because the file does not say it, a sentence each.
    """

    formula: str
    atoms: int
    frames: int
    segments: tuple[Segment, ...]
    fields: frozenset[str]
    velocity_source: VelocitySource | None
    temperature: float | None
    temperature_spread: float | None
    segment_temperatures: tuple[float, ...]
    temperature_from: str
    duration: float
    highest_wavenumber: float
    suspicions: tuple[str, ...]
    notes: tuple[str, ...] = ()


def inspect(reader: TrajectoryReader) -> Inspection:
    """Read a file once, in blocks, and say what it holds.

    Raises:
        DataError: If a frame cannot be read, or holds a position that is not finite.
    """
    tally = Tally(reader.system)
    for segment in reader.segments:
        _scan(reader, segment, tally)
    longest = max(reader.segments, key=lambda segment: segment.length)
    stop = longest.start + sample_length(longest, reader.system.atoms)
    order = check_order(reader.read(longest.start, stop).positions)
    count, total, squares = np.sum(tally.temperature, axis=0)
    mean = total / count if count else None
    spread = None if mean is None else float(np.sqrt(max(0.0, squares / count - mean**2)))
    slowest = max(segment.timestep for segment in reader.segments)
    return Inspection(
        formula=reader.system.formula,
        atoms=reader.system.atoms,
        frames=reader.frames,
        segments=reader.segments,
        fields=reader.fields,
        velocity_source=reader.velocity_source,
        temperature=None if mean is None else float(mean),
        temperature_spread=spread,
        segment_temperatures=tuple(float(s / n) if n else float("nan") for n, s, _ in tally.temperature),
        temperature_from=_source_of_temperature(reader, slowest),
        duration=sum((segment.length - 1) * segment.timestep for segment in reader.segments),
        highest_wavenumber=WAVENUMBER_PERIOD / (2.0 * slowest),
        suspicions=(
            *_about_order(order, reader.frames),
            *_about_time(reader.segments),
            *_about_positions(tally),
            *about_velocities(tally, mean, reader.velocity_unit),
            *about_lengths(reader),
            *about_rounding(reader),
            *(f"{name} hold NaN or infinity, first in frame {frame}" for name, frame in tally.not_finite.items()),
        ),
        notes=reader.notes,
    )


def _source_of_temperature(reader: TrajectoryReader, timestep: float) -> str:
    if "velocities" in reader.fields:
        return f"{reader.velocity_source or VelocitySource.STORED} velocities"
    far = f", too low since frames are {timestep:g} fs apart" if timestep > _FAR_APART else ""
    return f"central differences of positions{far}"


def _scan(reader: TrajectoryReader, segment: Segment, tally: Tally) -> None:
    tally.start(segment)
    most = block_length(reader.system)
    for start in range(segment.start, segment.stop, most):
        stop = min(start + most, segment.stop)
        low, high = max(segment.start, start - 1), min(segment.stop, stop + 1)
        tally.add(reader.read(low, high), low, start, stop)


def _about_order(order: OrderTest, frames: int) -> list[str]:
    if frames < 2:
        return ["a single frame is no trajectory"]
    if order.shuffled:
        return [order.complaint]
    return []


def _about_time(segments: tuple[Segment, ...]) -> list[str]:
    steps = sorted({round(segment.timestep, 6) for segment in segments})
    found = []
    if len(steps) > 1:
        shown = " / ".join(f"{step:.4g}" for step in steps)
        found.append(f"time is not uniform: segments have steps of {shown} fs; choose those of one with data.segments")
    if short := sum(segment.length < 3 for segment in segments) if len(segments) > 1 else 0:
        found.append(f"time is not uniform: {short} of {len(segments)} segments have one or two frames only")
    return found


def _about_positions(tally: Tally) -> list[str]:
    found = []
    squares, count = tally.squares
    rms = float(np.sqrt(squares / count)) if count else 0.0
    if count and rms == 0.0:
        found.append("the atoms do not move")
    step = tally.step
    if tally.crossing.value > 0.5:
        found.append(
            f"an atom jumps by {tally.crossing.value:.2f} of a cell vector after frame {tally.crossing.frame}, "
            "to a periodic image: unwrap the positions"
        )
    elif tally.crossing.value > _UNCLEAR:
        found.append(
            f"an atom moves by {tally.crossing.value:.2f} of a cell vector after frame {tally.crossing.frame}, too far "
            "to tell which periodic image is meant: store frames more often, or unwrapped positions"
        )
    elif step.value > _JUMP and step.value > 10.0 * rms:
        found.append(
            f"an atom jumps by {step.value:.1f} A after frame {step.frame}, where {rms:.2g} A is usual: "
            "perhaps a periodic image (unwrap the positions), or another run begins there"
        )
    if tally.drift.value > _DRIFT:
        found.append(
            f"the centre of mass drifts, by {tally.drift.value:.2f} A up to frame {tally.drift.frame}: "
            "subtract it, unless it diffuses by intent"
        )
    return found
