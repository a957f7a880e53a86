"""Unit strings of H5MD files ("nm ps-1", "kJ mol-1 Angstrom-1") as factors to A, fs, amu and eV."""

from __future__ import annotations

import re
from typing import Final

from neuralmd.errors import DataError
from neuralmd.units import BOHR, HARTREE, KCAL_PER_MOL

_JOULE: Final = 1.0 / 1.602176634e-19
_MOLE: Final = _JOULE * 4184.0 / KCAL_PER_MOL

_SYMBOLS: Final[dict[str, tuple[float, str]]] = {
    "Angstrom": (1.0, "length"),
    "angstrom": (1.0, "length"),
    "A": (1.0, "length"),
    "Å": (1.0, "length"),
    "nm": (10.0, "length"),
    "pm": (1e-2, "length"),
    "m": (1e10, "length"),
    "Bohr": (BOHR, "length"),
    "bohr": (BOHR, "length"),
    "fs": (1.0, "time"),
    "ps": (1e3, "time"),
    "ns": (1e6, "time"),
    "s": (1e15, "time"),
    "second": (1e15, "time"),
    "AKMA": (48.88821291839, "time"),
    "eV": (1.0, "energy"),
    "Hartree": (HARTREE, "energy"),
    "hartree": (HARTREE, "energy"),
    "J": (_JOULE, "energy"),
    "kJ": (1e3 * _JOULE, "energy"),
    "kcal": (4184.0 * _JOULE, "energy"),
    "mol": (_MOLE, ""),
    "N": (_JOULE * 1e-10, "force"),
    "Newton": (_JOULE * 1e-10, "force"),
    "u": (1.0, "mass"),
    "amu": (1.0, "mass"),
    "Da": (1.0, "mass"),
}
"""Symbol -> (factor to the units of the package, what it measures)."""

_MEASURES: Final[dict[str, dict[str, int]]] = {
    "length": {"length": 1},
    "time": {"time": 1},
    "velocity": {"length": 1, "time": -1},
    "force": {"energy": 1, "length": -1},
    "energy": {"energy": 1},
    "mass": {"mass": 1},
}

_TOKEN: Final = re.compile(r"([^\W\d_]+)([+-]?\d+)?")


def factor(unit: str, quantity: str) -> float:
    """How many of the package's units one unit is.

    Args:
        unit: Symbols with integer powers, separated by blanks, as H5MD's units module has them.
        quantity: length, time, velocity, force, energy or mass.

    Raises:
        DataError: If a symbol is not known, or the unit does not measure that quantity.
    """
    product = 1.0
    powers: dict[str, int] = {}
    for token in unit.split():
        match = _TOKEN.fullmatch(token)
        if match is None or match[1] not in _SYMBOLS:
            raise DataError(f"the unit {unit!r} of {quantity} is not known; known symbols: {', '.join(_SYMBOLS)}")
        value, measured = _SYMBOLS[match[1]]
        power = int(match[2] or 1)
        product *= value**power
        parts = {"energy": power, "length": -power} if measured == "force" else {measured: power}
        for part, count in parts.items():
            powers[part] = powers.get(part, 0) + count
    powers.pop("", None)
    if {part: power for part, power in powers.items() if power} != _MEASURES[quantity]:
        raise DataError(f"{unit!r} is not a unit of {quantity}")
    return product
