"""How frames are spaced in time: segments from recorded times, from the user, and of a file being written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from neuralmd.data.trajectory import Segment
from neuralmd.errors import DataError, NoTimestepError

_UNIFORM: Final = 0.02
"""Relative difference from step to step up to which times, often printed with few digits, count as uniform."""

_AGREES: Final = 1e-3
"""Relative difference up to which a time step from the user agrees with the file's."""


def clip(segments: tuple[Segment, ...], start: int, stop: int) -> tuple[Segment, ...]:
    """The segments of the frames from start up to stop, counted from start."""
    return tuple(
        replace(s, start=max(s.start, start) - start, length=min(s.stop, stop) - max(s.start, start))
        for s in segments
        if s.start < stop and s.stop > start
    )


def from_lengths(lengths: Iterable[int], timesteps: Iterable[float]) -> tuple[Segment, ...]:
    """Segments that follow each other, of the given lengths and time steps [fs]."""
    segments: list[Segment] = []
    for length, timestep in zip(lengths, timesteps, strict=True):
        start = segments[-1].stop if segments else 0
        segments.append(Segment(start, int(length), float(timestep)))
    return tuple(segments)


def from_times(times: Float[np.ndarray, " frames"], path: Path) -> tuple[Segment, ...] | None:
    """The stretches in which the times [fs] are uniform; none for a single frame.

    Where the step changes, is left out or goes back, a new segment begins.

    Raises:
        DataError: If a time is not finite, or hardly any two steps are alike.
    """
    if not np.isfinite(times).all():
        raise DataError(f"{path} has a time that is not finite in frame {int((~np.isfinite(times)).argmax())}")
    if len(times) < 2:
        return None
    steps = np.diff(times.astype(np.float64))
    resolution = 4.0 * float(np.finfo(times.dtype).eps) * float(np.abs(times).max())
    alike = np.abs(np.diff(steps)) <= _UNIFORM * np.abs(steps[:-1]) + resolution
    changes = np.append(np.flatnonzero(~alike), len(steps) - 1)
    segments: list[Segment] = []
    start = 0
    while start < len(times):
        end = start
        if start < len(steps) and steps[start] > 0:
            end = int(changes[np.searchsorted(changes, start)]) + 1
        step = (times[end] - times[start]) / (end - start) if end > start else 0.0
        segments.append(Segment(start, end - start + 1, float(step)))
        start = end + 1
    if len(segments) > 1 + len(times) // 4:
        raise DataError(
            f"{path} is not uniform in time: its steps range from {steps.min():g} to {steps.max():g} fs; "
            "write it at a constant interval"
        )
    known = next(s.timestep for s in segments if s.timestep > 0) if steps.max() > 0 else 0.0
    if known <= 0:
        raise DataError(f"{path} has times that do not increase from frame to frame")
    # A lone frame between two irregular steps has no step of its own; no window ever lies in it.
    return tuple(s if s.timestep > 0 else replace(s, timestep=known) for s in segments)


def settle(stated: tuple[Segment, ...] | None, given: float | None, frames: int, path: Path) -> tuple[Segment, ...]:
    """The file's own segments, or one segment with the time step that the user gave [fs].

    Raises:
        NoTimestepError: If neither states the time step.
        DataError: If there are no frames, or the two disagree by more than 0.1 %.
    """
    if frames == 0:
        raise DataError(f"{path} holds no frames")
    if given is not None and not (np.isfinite(given) and given > 0):
        raise DataError(f"the time step must be positive and finite [fs], but {given} was given")
    if stated is None:
        if given is None:
            raise NoTimestepError(
                f"{path} does not state its time step: give it in fs, as --timestep 0.5 (--fine-timestep, "
                "--coarse-timestep of fit-and-reconstruct), data.timestep=0.5 when training, timestep=0.5 from Python"
            )
        return (Segment(0, frames, given),)
    if stated[-1].stop != frames or any(s.length < 1 or not (0 < s.timestep < np.inf) for s in stated):
        raise DataError(f"{path} has {frames} frames, but its segments or time steps do not fit them; is it damaged?")
    if given is not None and (wrong := [s for s in stated if abs(s.timestep - given) > _AGREES * given]):
        raise DataError(
            f"{path} states a time step of {wrong[0].timestep:g} fs, but {given:g} fs was given: "
            "leave data.timestep / --timestep out, or correct it"
        )
    return stated


class SegmentLog:
    """The segments of a file that is being written."""

    def __init__(self, timestep: float) -> None:
        self._timestep = timestep
        self._fresh = True
        self._end = 0.0
        self._segments: list[Segment] = []

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments so far."""
        return tuple(self._segments)

    def start(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own."""
        self._timestep = timestep
        self._fresh = True

    def extend(
        self, block: tuple[Segment, ...], path: Path
    ) -> tuple[Float[np.ndarray, " frames"], Int[np.ndarray, " frames"]]:
        """Add a block's segments; return the time [fs] and the segment's index of each of its frames.

        Raises:
            DataError: If the block's time step is not that of the segment being written.
        """
        times, indices = [np.empty(0)], [np.empty(0, dtype=np.int64)]
        for number, segment in enumerate(block):
            if number > 0:
                self.start(segment.timestep)
            if abs(segment.timestep - self._timestep) > 1e-9 * self._timestep:
                raise DataError(
                    f"{path} is being written with a time step of {self._timestep:g} fs, "
                    f"but a block with {segment.timestep:g} fs came: start a segment for it"
                )
            times.append(self._stamp(segment.length))
            indices.append(np.full(segment.length, len(self._segments) - 1))
        return np.concatenate(times), np.concatenate(indices)

    def _stamp(self, frames: int) -> Float[np.ndarray, " frames"]:
        """Times of the next frames: a new segment begins one of its steps after the last frame of the one before."""
        if self._fresh:
            first = self._segments[-1].stop if self._segments else 0
            self._segments.append(Segment(first, 0, self._timestep))
            self._origin = self._end + self._timestep if first else 0.0
            self._fresh = False
        done = self._segments[-1]
        times = self._origin + self._timestep * np.arange(done.length, done.length + frames)
        self._segments[-1] = replace(done, length=done.length + frames)
        if frames:
            self._end = float(times[-1])
        return times
