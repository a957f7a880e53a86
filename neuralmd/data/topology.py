"""The atoms of a trajectory whose format holds only coordinates, from a file of its topology."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from jaxtyping import Float, Int

from neuralmd.data.files import reading
from neuralmd.data.mdanalysis import FORMATS, require, silent
from neuralmd.errors import DataError
from neuralmd.system import System

if TYPE_CHECKING:
    from ase import Atoms
    from MDAnalysis.core.groups import AtomGroup

_SAME_MASS: Final = 0.2
"""Difference from a standard atomic weight up to which a mass tells the element [amu]."""

_ISOTOPES: Final = {"D": 1, "T": 1}
_SHOWN: Final = 3


@dataclass(frozen=True, eq=False)
class Topology:
    """The atoms of a file.

    Attributes:
        system: Their elements and masses, without a cell.
        notes: What was guessed of them.
    """

    system: System
    notes: tuple[str, ...]


def read_topology(path: Path) -> Topology:
    """The atoms of a PDB, GRO, PSF, PRMTOP, TPR, LAMMPS data or any other file that MDAnalysis takes for a topology.

    The first frame of .h5, .extxyz, .xyz and .traj files serves, too. Elements are the file's own; where it has none, a
    mass tells the element, or else the atom's name. Masses are those of the file, or the standard atomic weights.

    Raises:
        DataError: If MDAnalysis is missing, the file cannot be read, or an element cannot be told.
    """
    if not path.is_file():
        raise DataError(f"the topology {path} does not exist or is not a file: check --topology (data.topology)")
    with reading(path, "a topology"):
        match path.suffix.lower():
            case suffix if suffix in FORMATS and FORMATS[suffix].name != "PDB":
                raise DataError(f"{path} is a trajectory without elements: name a file that has them, as a PDB or GRO")
            case ".h5" | ".h5md":
                return Topology(_of_h5md(path), ())
            case ".extxyz" | ".xyz" | ".traj":
                return Topology(_of_ase(path), ())
            case _:
                pass
    package = require(path)
    with silent(), reading(path, "a topology"):
        atoms = package.Universe(str(path), to_guess=()).atoms
        return topology_of(atoms, path)


def _of_h5md(path: Path) -> System:
    import h5py

    from neuralmd.data.h5md_layout import particles, read_system

    with h5py.File(path, "r") as file:
        return read_system(particles(file))


def _of_ase(path: Path) -> System:
    import ase.io

    from neuralmd.data.ase_frames import system_of

    return system_of(cast("Atoms", ase.io.read(path, index=0)))


def topology_of(atoms: AtomGroup, path: Path) -> Topology:
    """The elements and masses of MDAnalysis's atoms, which come from the file `path`."""
    stated = [str(element).strip().capitalize() for element in getattr(atoms, "elements", [""] * len(atoms))]
    masses = np.asarray(getattr(atoms, "masses", np.zeros(len(atoms))), dtype=np.float64)
    names = [str(name) for name in getattr(atoms, "names", getattr(atoms, "types", [""] * len(atoms)))]
    numbers = np.array([_number(element) for element in stated], dtype=np.int64)
    missing = np.flatnonzero(numbers == 0)
    for index in missing:
        numbers[index] = _by_mass(masses[index]) or _by_name(names[index])
    if not numbers.all():
        first = int((numbers == 0).argmax())
        raise DataError(
            f"{path} does not say of which element atom {first + 1} ({names[first] or 'without a name'}) is, and its "
            "name does not tell: give a --topology with elements"
        )
    system = System.from_atomic_numbers(numbers)
    whole = masses.all() and np.isfinite(masses).all()
    return Topology(System(numbers, masses, system.cell, system.pbc) if whole else system, _notes(missing, numbers))


def _notes(guessed: Int[np.ndarray, " some"], numbers: Int[np.ndarray, " atoms"]) -> tuple[str, ...]:
    if not len(guessed):
        return ()
    formula = System.from_atomic_numbers(numbers).formula
    return (f"the topology names no elements for {len(guessed)} of {len(numbers)} atoms: guessed {formula}; check it",)


def _number(symbol: str) -> int:
    from ase.data import atomic_numbers

    return _ISOTOPES.get(symbol) or atomic_numbers.get(symbol, 0)


def _by_mass(mass: float) -> int:
    from ase.data import atomic_masses

    if not mass > 0:
        return 0
    nearest = int(np.nanargmin(np.abs(_weights(atomic_masses) - mass)))
    return nearest if abs(atomic_masses[nearest] - mass) < _SAME_MASS else 0


def _weights(masses: Float[np.ndarray, " elements"]) -> Float[np.ndarray, " elements"]:
    return np.where(masses > 0, masses, np.nan)


def _by_name(name: str) -> int:
    from MDAnalysis.guesser.default_guesser import DefaultGuesser

    return _number(str(DefaultGuesser(None).guess_atom_element(name)).capitalize())
