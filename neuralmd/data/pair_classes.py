"""Which pairs of atoms are of the same kind: those that the bonds of a molecule do not tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from neuralmd.system import System

_BOND = 1.3
"""Times the sum of two covalent radii: atoms that are nearer than that on average are bonded."""


@dataclass(frozen=True, eq=False)
class PairClasses:
    """All pairs i < j of a system, each with the index of its class.

    Two pairs are of one class if their atoms are equivalent by the graph of bonds, and as many bonds apart: the three
    hydrogens of a methyl group are one kind of atom, and what one of them has seen the others have.

    Attributes:
        first: i of each pair.
        second: j of each pair.
        index: Class of each pair, from 0 on.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    index: Int[np.ndarray, " pairs"]

    @classmethod
    def of(cls, system: System, distances: Float[np.ndarray, "atoms atoms"]) -> PairClasses:
        """The classes of a system whose atoms are so far from each other on average [A]."""
        from scipy.sparse.csgraph import shortest_path

        bonded = _bonds(system, distances)
        kinds = _refined(system.atomic_numbers, bonded)
        apart = shortest_path(bonded.astype(np.float64), unweighted=True)
        apart = np.where(np.isfinite(apart), apart, -1.0).astype(np.int64)
        first, second = np.triu_indices(system.atoms, 1)
        ends = np.sort(np.stack((kinds[first], kinds[second])), axis=0)
        keys = np.stack((*ends, apart[first, second]), axis=1)
        index = np.unique(keys, axis=0, return_inverse=True)[1] if len(keys) else np.zeros(0, dtype=np.int64)
        return cls(first, second, index.reshape(-1))

    @property
    def count(self) -> int:
        """Number of classes."""
        return int(self.index.max(initial=-1)) + 1


def _bonds(system: System, distances: Float[np.ndarray, "atoms atoms"]) -> Bool[np.ndarray, "atoms atoms"]:
    from ase.data import covalent_radii

    radii = covalent_radii[system.atomic_numbers]
    return (distances < _BOND * (radii[:, None] + radii)) & ~np.eye(system.atoms, dtype=bool)


def _refined(numbers: Int[np.ndarray, " atoms"], bonded: Bool[np.ndarray, "atoms atoms"]) -> Int[np.ndarray, " atoms"]:
    """Kinds of atoms by element, then by the kinds of their neighbours, as long as that tells more of them apart.

    Reference:
        Weisfeiler & Leman, Nauchno-Technicheskaya Informatsia 2 (1968) 12: refinement of colours.
    """
    kinds = np.unique(numbers, return_inverse=True)[1]
    while True:
        around = bonded.astype(np.int64) @ np.eye(kinds.max() + 1, dtype=np.int64)[kinds]
        finer = np.unique(np.column_stack((kinds, around)), axis=0, return_inverse=True)[1].reshape(-1)
        if finer.max() == kinds.max():
            return finer
        kinds = finer
