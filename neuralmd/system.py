"""What moves (`System`), where it is and how fast (`PhaseState`), and the array types that signatures use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuralmd.errors import DataError

Positions = Float[Tensor, "batch atoms 3"]
"""Positions [A] of a batch of configurations."""

Velocities = Float[Tensor, "batch atoms 3"]
"""Velocities [A/fs] of a batch of configurations."""

Accelerations = Float[Tensor, "batch atoms 3"]
"""Accelerations [A/fs^2] of a batch of configurations."""

Times = Float[Tensor, " time"]
"""Times [fs]."""

Curves = Float[Tensor, "time batch atoms 3"]
"""Positions, velocities or accelerations along a path."""


_CELL_ROUNDING: Final = 2e-3
"""By how much a cell vector may differ from the same one in a file with few digits [A]."""


def _no_cell() -> Float[np.ndarray, "3 3"]:
    return np.zeros((3, 3))


def _no_pbc() -> Bool[np.ndarray, " 3"]:
    return np.zeros(3, dtype=bool)


@dataclass(frozen=True, eq=False)
class System:
    """The atoms of a trajectory: what does not change from frame to frame.

    Attributes:
        atomic_numbers: Nuclear charge of each atom.
        masses: Mass of each atom [amu].
        cell: Cell vectors, one a row [A]; zero where there is no cell.
        pbc: Along which cell vectors the system is periodic.
    """

    atomic_numbers: Int[np.ndarray, " atoms"]
    masses: Float[np.ndarray, " atoms"]
    cell: Float[np.ndarray, "3 3"] = field(default_factory=_no_cell)
    pbc: Bool[np.ndarray, " 3"] = field(default_factory=_no_pbc)

    def __post_init__(self) -> None:
        if len(self.atomic_numbers) == 0:
            raise DataError("a system needs at least one atom, but none came")
        if len(self.masses) != len(self.atomic_numbers):
            raise DataError(f"{len(self.atomic_numbers)} atoms came with {len(self.masses)} masses")
        if not bool(np.all(np.isfinite(self.masses) & (self.masses > 0))):
            raise DataError("masses must be positive and finite [amu]")

    def __repr__(self) -> str:
        cell = f", cell periodic along {int(self.pbc.sum())} of 3 vectors" if self.pbc.any() else ""
        return f"System({self.formula}, {self.atoms} {'atom' if self.atoms == 1 else 'atoms'}{cell})"

    @classmethod
    def from_atomic_numbers(cls, atomic_numbers: Sequence[int] | Int[np.ndarray, " atoms"]) -> Self:
        """A molecule without a cell, with the standard atomic weights as masses."""
        from ase.data import atomic_masses

        numbers = np.asarray(atomic_numbers, dtype=np.int64)
        if numbers.min(initial=1) < 1 or numbers.max(initial=1) >= len(atomic_masses):
            raise DataError(f"atomic numbers must lie in 1..{len(atomic_masses) - 1}")
        return cls(numbers, np.asarray(atomic_masses[numbers], dtype=np.float64))

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return len(self.atomic_numbers)

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each atom."""
        from ase.data import chemical_symbols

        return [chemical_symbols[number] for number in self.atomic_numbers]

    @property
    def formula(self) -> str:
        """Chemical formula in Hill order, as C6H6."""
        from ase.formula import Formula

        return Formula.from_list(self.symbols).format("hill")

    def same_atoms(self, other: System) -> bool:
        """Whether the other system has the same atoms in the same order."""
        return np.array_equal(self.atomic_numbers, other.atomic_numbers)

    def same_cell(self, other: System) -> bool:
        """Whether the other system repeats itself along the same vectors, but for what is lost when they are written.

        A cell vector along which neither is periodic does not matter.
        """
        if not np.array_equal(self.pbc, other.pbc):
            return False
        return bool(np.allclose(self.cell[self.pbc], other.cell[other.pbc], rtol=0.0, atol=_CELL_ROUNDING))


@dataclass(frozen=True, eq=False)
class PhaseState:
    """Positions and velocities at one time, for a batch of configurations.

    Attributes:
        positions: x [A].
        velocities: v [A/fs].
    """

    positions: Positions
    velocities: Velocities

    def __post_init__(self) -> None:
        if self.positions.shape != self.velocities.shape:
            raise ValueError(
                f"positions {tuple(self.positions.shape)} and velocities {tuple(self.velocities.shape)} differ in shape"
            )

    def __repr__(self) -> str:
        batch, atoms, _ = self.positions.shape
        return f"PhaseState(batch {batch}, {atoms} atoms, {str(self.positions.dtype).removeprefix('torch.')})"

    def to(self, target: torch.device | torch.dtype) -> PhaseState:
        """The same state on another device or in another precision."""
        return PhaseState(self.positions.to(target), self.velocities.to(target))
