"""`Trajectory`: frames of one system, in one or more segments that are uniform in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

import numpy as np
from jaxtyping import Float

from neuralmd.data.stencils import FIRST, REACH, combine
from neuralmd.data.trust import Trust, join
from neuralmd.errors import DataError
from neuralmd.system import System


class VelocitySource(StrEnum):
    """Where the velocities of a trajectory come from; every output declares it."""

    STORED = "stored"
    """The file holds the integrator's own velocities."""

    CENTRAL = "central"
    """v(t) = (x(t+dt) - x(t-dt)) / (2 dt) of the fine file; exact for velocity Verlet without a thermostat."""

    SEVEN_POINT = "seven_point"
    """The slope of a polynomial through seven frames of the fine file: for files that lack most of their steps."""

    INFERRED = "inferred"
    """Found from coarse positions alone with a field; no hidden frame was seen."""

    RECONSTRUCTED = "reconstructed"
    """The anchors' own, and between them the derivative of the rebuilt path."""


@dataclass(frozen=True)
class Segment:
    """A stretch of consecutive frames, uniform in time. No window crosses from one to the next.

    Attributes:
        start: Index of the first frame.
        length: Number of frames.
        timestep: Time from frame to frame [fs].
    """

    start: int
    length: int
    timestep: float

    @property
    def stop(self) -> int:
        """Index after the last frame."""
        return self.start + self.length


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Frames of one system.

    Attributes:
        system: The atoms.
        positions: Unwrapped positions [A].
        segments: The stretches that are uniform in time; they cover all frames in order.
        velocities: Velocities [A/fs], or none.
        velocity_source: Where the velocities come from; none if there are none.
        forces: Forces [eV/A], or none.
        energies: Potential energies [eV], or none.
        metadata: What made the trajectory: engine, temperature, seed and the like.
        trust: How far rebuilt frames are to be trusted, or none.
    """

    system: System
    positions: Float[np.ndarray, "frames atoms 3"]
    segments: tuple[Segment, ...]
    velocities: Float[np.ndarray, "frames atoms 3"] | None = None
    velocity_source: VelocitySource | None = None
    forces: Float[np.ndarray, "frames atoms 3"] | None = None
    energies: Float[np.ndarray, " frames"] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    trust: Trust | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_segments(self.segments, len(self.positions))
        if self.velocities is not None and self.velocity_source is None:
            object.__setattr__(self, "velocity_source", VelocitySource.STORED)

    @classmethod
    def uniform(
        cls,
        system: System,
        positions: Float[np.ndarray, "frames atoms 3"],
        timestep: float,
        *,
        velocities: Float[np.ndarray, "frames atoms 3"] | None = None,
        forces: Float[np.ndarray, "frames atoms 3"] | None = None,
        energies: Float[np.ndarray, " frames"] | None = None,
        velocity_source: VelocitySource | None = None,
    ) -> Self:
        """A trajectory of one segment; velocities whose source is not told are stored ones."""
        segments = (Segment(0, len(positions), timestep),)
        return cls(system, positions, segments, velocities, velocity_source, forces, energies)

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        steps = sorted({segment.timestep for segment in self.segments})
        pieces = f" in {len(self.segments)} segments" if len(self.segments) > 1 else ""
        source = "no velocities" if self.velocity_source is None else f"{self.velocity_source} velocities"
        more = [name for name, array in (("forces", self.forces), ("energies", self.energies)) if array is not None]
        return (
            f"Trajectory({self.system.formula}, {self.system.atoms} atoms, {len(self)} frames{pieces}, "
            f"dt {' / '.join(f'{step:.4g}' for step in steps)} fs, {', '.join([source, *more])})"
        )

    @property
    def timestep(self) -> float:
        """Time from frame to frame [fs].

        Raises:
            DataError: If the segments differ in it.
        """
        steps = {segment.timestep for segment in self.segments}
        if len(steps) > 1:
            shown = ", ".join(f"{step:.4g}" for step in sorted(steps))
            raise DataError(
                f"the segments have different time steps ({shown} fs): choose those of one time step "
                "with data.segments, or --segments of `neuralmd spectrum`"
            )
        return steps.pop()

    def slice(self, start: int, stop: int, step: int = 1) -> Trajectory:
        """Every step-th frame from start up to stop. With a step beyond 1, all frames must lie in one segment."""
        kept = [
            Segment(max(s.start, start) - start, min(s.stop, stop) - max(s.start, start), s.timestep)
            for s in self.segments
            if s.start < stop and s.stop > start
        ]
        if step > 1:
            if len(kept) != 1:
                raise DataError(f"every {step}-th frame can be taken within one segment only, not across {len(kept)}")
            kept = [Segment(0, -(-kept[0].length // step), kept[0].timestep * step)]
        return replace(
            self,
            segments=tuple(kept),
            trust=None if self.trust is None else self.trust[start:stop:step],
            **{name: None if array is None else array[start:stop:step] for name, array in self.per_frame().items()},
        )

    def per_frame(self) -> dict[str, np.ndarray | None]:
        """The arrays that have a row for each frame, by their names; none for those that are not there."""
        return {
            "positions": self.positions,
            "velocities": self.velocities,
            "forces": self.forces,
            "energies": self.energies,
        }

    def split(self) -> Iterator[Trajectory]:
        """The segments, each as a trajectory of its own."""
        for segment in self.segments:
            yield self.slice(segment.start, segment.stop)

    def select(self, indices: tuple[int, ...]) -> Trajectory:
        """A trajectory of the segments with the given indices only."""
        unknown = [index for index in indices if not 0 <= index < len(self.segments)]
        if unknown or not indices:
            raise DataError(f"segments {unknown} asked for, but the trajectory has 0..{len(self.segments) - 1}")
        return concatenate([self.slice(self.segments[i].start, self.segments[i].stop) for i in indices])


def concatenate(parts: list[Trajectory]) -> Trajectory:
    """Trajectories of one system, one after the other, each keeping its segments."""
    segments: list[Segment] = []
    for part in parts:
        offset = segments[-1].stop if segments else 0
        segments += [replace(segment, start=segment.start + offset) for segment in part.segments]
    joined: dict[str, np.ndarray | None] = {}
    for name in parts[0].per_frame():
        arrays = [array for part in parts if (array := part.per_frame()[name]) is not None]
        joined[name] = np.concatenate(arrays) if len(arrays) == len(parts) else None
    return replace(parts[0], segments=tuple(segments), trust=join([part.trust for part in parts]), **joined)


def with_central_velocities(trajectory: Trajectory) -> Trajectory:
    """The trajectory with velocities by central differences; the first and last frame of each segment are dropped.

    v(t) = (x(t + dt) - x(t - dt)) / (2 dt)

    For velocity-Verlet data without a thermostat this is the integrator's own velocity.

    Raises:
        DataError: If a segment has fewer than three frames.
    """
    parts = []
    for part in trajectory.split():
        if len(part) < 3:
            raise DataError(f"central differences need three frames in a row, but a segment has {len(part)}")
        velocities = (part.positions[2:] - part.positions[:-2]) / (2.0 * part.timestep)
        inner = part.slice(1, len(part) - 1)
        parts.append(replace(inner, velocities=velocities, velocity_source=VelocitySource.CENTRAL))
    return concatenate(parts)


def with_seven_point_velocities(trajectory: Trajectory) -> Trajectory:
    """The trajectory with velocities from seven frames each; the three outermost frames of each segment are dropped.

    v(t) = sum_k w_k x(t + k dt) / dt,  k = -3 .. 3,  with an error of dt^6 / 140 times the seventh derivative of x

    A central difference misses dt^2 / 6 times the third derivative: little for an integrator's own steps, of which it
    *is* the velocity, but 2 % (8 %) for a C-H stretch that is stored every 0.6 fs (1.2 fs) only.

    Raises:
        DataError: If a segment has fewer than seven frames.
    """
    parts = []
    for part in trajectory.split():
        if len(part) <= 2 * REACH:
            raise DataError(f"seven_point velocities need seven frames in a row, but a segment has {len(part)}")
        inner, x = part.slice(REACH, len(part) - REACH), part.positions
        velocities = combine(FIRST, lambda k, x=x: x[REACH + k : len(x) - REACH + k]) / part.timestep
        parts.append(replace(inner, velocities=velocities, velocity_source=VelocitySource.SEVEN_POINT))
    return concatenate(parts)


def _check_shapes(trajectory: Trajectory) -> None:
    frames, atoms = trajectory.positions.shape[0], trajectory.system.atoms
    for name, array in trajectory.per_frame().items():
        expected = (frames,) if name == "energies" else (frames, atoms, 3)
        if array is not None and array.shape != expected:
            raise DataError(f"{name} should have the shape {expected}, but have {array.shape}")
    trust = trajectory.trust
    barred = None if trust is None or trust.error_bars is None else trust.error_bars.shape[1]
    if trust is not None and (len(trust) != frames or barred not in {None, atoms}):
        raise DataError(f"{frames} frames of {atoms} atoms came with flags or error bars of others")


def _check_segments(segments: tuple[Segment, ...], frames: int) -> None:
    expected = 0
    for segment in segments:
        if segment.start != expected or segment.length < 0:
            raise DataError(f"segments must follow each other without a hole: {segment} comes where {expected} is due")
        if not (np.isfinite(segment.timestep) and segment.timestep > 0):
            raise DataError(f"the time step must be positive and finite [fs], but is {segment.timestep}")
        expected = segment.stop
    if expected != frames:
        raise DataError(f"the segments cover {expected} frames, but the trajectory has {frames}")
