"""What a user says about a trajectory file that the file does not say itself: units, time step, topology, cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from neuralmd.errors import DataError
from neuralmd.units import ASE_TIME, ATOMIC_TIME, BOHR


class LengthUnit(StrEnum):
    """A unit of length; `factor` of them is in A."""

    ANGSTROM = "A"
    NANOMETRE = "nm"
    BOHR = "bohr"
    PICOMETRE = "pm"

    @property
    def factor(self) -> float:
        """One unit in A."""
        return _LENGTHS[self]


class VelocityUnit(StrEnum):
    """A unit of velocity; `factor` of them is in A/fs."""

    ANGSTROM_PER_FS = "A/fs"
    ANGSTROM_PER_PS = "A/ps"
    NANOMETRE_PER_PS = "nm/ps"
    METRE_PER_SECOND = "m/s"
    ATOMIC = "atomic"
    ASE = "ase"

    @property
    def factor(self) -> float:
        """One unit in A/fs."""
        return _VELOCITIES[self]

    @property
    def words(self) -> str:
        """The unit as a sentence names it."""
        return {VelocityUnit.ATOMIC: "atomic units", VelocityUnit.ASE: "ASE's units"}.get(self, str(self))


_LENGTHS: Final = {
    LengthUnit.ANGSTROM: 1.0,
    LengthUnit.NANOMETRE: 10.0,
    LengthUnit.BOHR: BOHR,
    LengthUnit.PICOMETRE: 1e-2,
}
_VELOCITIES: Final = {
    VelocityUnit.ANGSTROM_PER_FS: 1.0,
    VelocityUnit.ANGSTROM_PER_PS: 1e-3,
    VelocityUnit.NANOMETRE_PER_PS: 1e-2,
    VelocityUnit.METRE_PER_SECOND: 1e-5,
    VelocityUnit.ATOMIC: BOHR / ATOMIC_TIME,
    VelocityUnit.ASE: 1.0 / ASE_TIME,
}


@dataclass(frozen=True)
class Declared:
    """How to understand a file, where the file leaves it open or is wrong about it.

    Attributes:
        timestep: Time from frame to frame [fs], for a file that states none.
        topology: File with the atoms, for a format that holds only coordinates.
        length_unit: What the file's lengths are in; none for the format's own unit.
        velocity_unit: What the file's velocities are in; none for the format's own unit.
        drop_cell: Whether to make the molecule whole and to forget the cell, as for a molecule in a big box.
    """

    timestep: float | None = None
    topology: Path | None = None
    length_unit: LengthUnit | None = None
    velocity_unit: VelocityUnit | None = None
    drop_cell: bool = False

    def over(self, other: Declared) -> Declared:
        """What is said here and, where nothing is, what another says."""
        return Declared(
            timestep=self.timestep or other.timestep,
            topology=self.topology or other.topology,
            length_unit=self.length_unit or other.length_unit,
            velocity_unit=self.velocity_unit or other.velocity_unit,
            drop_cell=self.drop_cell or other.drop_cell,
        )

    def __post_init__(self) -> None:
        if self.timestep is not None and not (math.isfinite(self.timestep) and self.timestep > 0):
            raise DataError(f"the time step must be positive and finite [fs], but {self.timestep} was given")


AS_IT_IS: Final = Declared()
"""Nothing is said: the file must speak for itself."""
