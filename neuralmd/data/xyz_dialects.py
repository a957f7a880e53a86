"""The comment lines of XYZ files: extended XYZ, CP2K's, i-PI's, and none that says anything.

| dialect | comment line | what it states |
|---|---|---|
| extended | Lattice="..." Properties=species:S:1:pos:R:3 time_fs=0.5 | all that `neuralmd.data.ase_frames` lists |
| CP2K | i = 0, time = 0.000, E = -17.16 | the time [fs]; positions are in A |
| i-PI | # CELL(abcABC): 30 30 30 90 90 90 cell{angstrom} Traj: positions{angstrom} | cell, and both units |
| plain | anything without a = | nothing; positions are in A |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.errors import DataError
from neuralmd.units import BOHR

_CLOCK_KEY: Final = re.compile(r'(?:^|\s)(time_fs|timestep_fs|segment)=([^\s"]+)')
_CP2K: Final = re.compile(r"^\s*i\s*=\s*\d+,\s*time\s*=\s*([^\s,]+)")
_IPI: Final = re.compile(r"CELL[\[({]\s*(abcABC|H|GENH)\s*[\])}]:(.*)")
_IPI_PROPERTY: Final = re.compile(
    r"(?:Traj|Bead).*?:\s*\d*\s*([A-Za-z_]+)\{([^}]*)\}|\b(x_centroid|positions)\{([^}]*)\}"
)
_IPI_CELL_UNIT: Final = re.compile(r"cell\{([^}]*)\}")
_IPI_UNITS: Final = {
    "": BOHR,
    "automatic": BOHR,
    "atomic_unit": BOHR,
    "bohr": BOHR,
    "angstrom": 1.0,
    "nanometer": 10.0,
    "picometer": 1e-2,
    "ase": 1.0,
}


class Dialect(Enum):
    """Who wrote a comment line."""

    EXTENDED = auto()
    CP2K = auto()
    IPI = auto()
    PLAIN = auto()


def dialect_of(comment: str) -> Dialect:
    """The dialect of a comment line."""
    if _IPI.search(comment):
        return Dialect.IPI
    if _CP2K.match(comment):
        return Dialect.CP2K
    return Dialect.EXTENDED if "=" in comment else Dialect.PLAIN


def clock_of(comment: str) -> Mapping[str, float]:
    """What a comment line says of time, by the keys of `neuralmd.data.clocks`.

    Raises:
        ValueError: If a key is not followed by a number.
    """
    if found := _CP2K.match(comment):
        return {"time_fs": float(found[1])}
    return {key: float(value) for key, value in _CLOCK_KEY.findall(comment)}


def ipi_cell(comment: str, path: Path) -> Float[np.ndarray, "3 3"]:
    """The cell of an i-PI comment, its vectors as rows [A].

    Raises:
        DataError: If it cannot be read.
    """
    found = _IPI.search(comment)
    numbers = [] if found is None else [float(word) for word in re.match(r"[-+.\deE\s]*", found[2])[0].split()]  # pyright: ignore[reportOptionalSubscript]
    unit = _IPI_CELL_UNIT.search(comment)
    factor = _factor("" if unit is None else unit[1], path)
    if found is not None and found[1] == "abcABC" and len(numbers) == 6:
        from ase.geometry import cellpar_to_cell

        return np.asarray(cellpar_to_cell(numbers), dtype=np.float64) * [[factor]]
    if found is not None and found[1] != "abcABC" and len(numbers) == 9:
        return np.array(numbers).reshape(3, 3).T * factor
    raise DataError(f"{path}: the cell in i-PI's comment line cannot be read: {comment.strip()[:80]!r}")


def ipi_length(comment: str, path: Path) -> float:
    """The unit of the positions of an i-PI file in A.

    Raises:
        DataError: If it is not known, or the file holds something else than positions.
    """
    found = _IPI_PROPERTY.search(comment)
    if found is None:
        return BOHR
    name, unit = (found[1], found[2]) if found[1] is not None else (found[3], found[4])
    if name not in {"positions", "x_centroid"}:
        raise DataError(f"{path} holds {name}, not positions: give i-PI's file of positions")
    return _factor(unit, path)


def _factor(unit: str, path: Path) -> float:
    if unit not in _IPI_UNITS:
        raise DataError(f"{path}: i-PI's unit {unit!r} is not known; known are {', '.join(filter(None, _IPI_UNITS))}")
    return _IPI_UNITS[unit]
