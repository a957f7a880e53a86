"""`Match`: whether a fine and a coarse file are of one molecule and fit each other in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import TrajectoryReader
from neuralmd.data.formats import open_reader
from neuralmd.data.tally import temperatures
from neuralmd.data.trajectory import with_central_velocities
from neuralmd.data.unit_checks import check_units
from neuralmd.errors import DataError

_WHOLE = 0.01
"""Part of a fine time step by which a gap may miss a whole number of them."""

_SAME_CELL = 1e-3
_SAME_HEAT = 1.3
_PLACES, _FRAMES_AT_A_PLACE = 50, 10


@dataclass(frozen=True)
class Match:
    """How a coarse file fits a fine one.

    Attributes:
        stride: Fine time steps from one coarse frame to the next.
        timestep: Time step of the fine file [fs].
        velocities: Whether the coarse file has velocities.
        frames: Number of frames of the fine file, and of the coarse one.
        notes: What was assumed, and what is suspicious, a sentence each.
    """

    stride: int
    timestep: float
    velocities: bool
    frames: tuple[int, int]
    notes: tuple[str, ...]

    @property
    def gap(self) -> float:
        """Time from one coarse frame to the next [fs]."""
        return self.stride * self.timestep


def match(
    fine: Path,
    coarse: Path,
    of_fine: Declared = AS_IT_IS,
    of_coarse: Declared = AS_IT_IS,
) -> Match:
    """Compare two files: atoms and their order, cell, time steps, units, velocities, temperature.

    Args:
        fine: A file in which every frame is stored.
        coarse: A file that is to be rebuilt with the time step of the first.
        of_fine: What there is to say about the fine file.
        of_coarse: What there is to say about the coarse file.

    Raises:
        DataError: If one of them cannot be read, or they do not fit each other.
    """
    with open_reader(fine, declared=of_fine) as one, open_reader(coarse, declared=of_coarse) as other:
        _require_same_atoms(one, other, fine, coarse)
        timestep = _one_step(one, fine, "fine")
        stride = _stride(timestep, _one_step(other, coarse, "coarse"), fine, coarse)
        notes = [f"{path}: {note}" for path, reader in ((fine, one), (coarse, other)) for note in _notes(reader)]
        notes += _about_velocities(one, other, fine, coarse)
        notes += _about_temperature(one, other, fine, coarse)
        return Match(stride, timestep, "velocities" in other.fields, (one.frames, other.frames), tuple(notes))


def _require_same_atoms(one: TrajectoryReader, other: TrajectoryReader, fine: Path, coarse: Path) -> None:
    first, second = one.system, other.system
    if not first.same_atoms(second):
        raise DataError(f"{fine} and {coarse} are not of the same atoms in the same order: {_difference(one, other)}")
    if not np.array_equal(first.pbc, second.pbc) or np.abs(first.cell - second.cell).max() > _SAME_CELL:
        raise DataError(
            f"{fine} and {coarse} have different periodic cells: simulate both in one, or make the molecule whole with "
            "--drop-cell"
        )


def _difference(one: TrajectoryReader, other: TrajectoryReader) -> str:
    first, second = one.system.symbols, other.system.symbols
    if sorted(first) != sorted(second):
        return f"{one.system.formula} ({len(first)} atoms) and {other.system.formula} ({len(second)} atoms)"
    atom = next(index for index, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
    return f"both are {one.system.formula}, but atom {atom} is {first[atom]} in one and {second[atom]} in the other"


def _one_step(reader: TrajectoryReader, path: Path, kind: str) -> float:
    steps = sorted({round(segment.timestep, 6) for segment in reader.segments if segment.length > 1})
    if not steps:
        raise DataError(f"{path} has no two consecutive frames; the {kind} file should be a trajectory")
    if steps[-1] > (1 + _WHOLE) * steps[0]:
        shown = ", ".join(f"{step:g}" for step in steps)
        raise DataError(f"{path} has several time steps ({shown} fs): give a {kind} file with one")
    return next(segment.timestep for segment in reader.segments if segment.length > 1)


def _stride(timestep: float, gap: float, fine: Path, coarse: Path) -> int:
    ratio = gap / timestep
    if ratio < 1.5:
        raise DataError(
            f"{coarse} has a frame every {gap:g} fs and {fine} every {timestep:g} fs: there is nothing to rebuild; "
            "the fine file comes first"
        )
    if abs(ratio - round(ratio)) > _WHOLE:
        raise DataError(
            f"{coarse} has a frame every {gap:g} fs, which is {ratio:.3f} time steps of {fine} ({timestep:g} fs): that "
            "should be a whole number; simulate the fine part with a step that divides the gap"
        )
    return round(ratio)


def _notes(reader: TrajectoryReader) -> list[str]:
    return [*reader.notes, *check_units(reader)]


def _about_velocities(one: TrajectoryReader, other: TrajectoryReader, fine: Path, coarse: Path) -> list[str]:
    found = []
    if "velocities" not in one.fields:
        found.append(f"{fine} holds no velocities: they are taken as central differences of its frames")
    if "velocities" not in other.fields:
        found.append(
            f"{coarse} holds no velocities: they are inferred from its positions, with the field that is learned"
        )
    return found


def _about_temperature(one: TrajectoryReader, other: TrajectoryReader, fine: Path, coarse: Path) -> list[str]:
    if "velocities" not in other.fields:
        return []
    learned, asked = _temperature(one), _temperature(other)
    if max(learned, asked) <= _SAME_HEAT * min(learned, asked):
        return []
    return [
        f"{coarse} is at {asked:.0f} K, but {fine} at {learned:.0f} K: the model will be asked for what it has not seen"
    ]


def _temperature(reader: TrajectoryReader) -> float:
    """The mean temperature of frames here and there in the longest segment [K]; not a number if it is too short."""
    segment, found = max(reader.segments, key=lambda each: each.length), []
    for part in range(_PLACES):
        start = segment.start + segment.length * part // _PLACES
        block = reader.read(start, min(start + _FRAMES_AT_A_PLACE, segment.stop))
        if block.velocities is None and len(block) > 2:
            block = with_central_velocities(block)
        if block.velocities is not None:
            found.append(temperatures(block.positions, block.velocities, block.system))
    return float(np.concatenate(found).mean()) if found else float("nan")
