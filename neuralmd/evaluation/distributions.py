"""Distributions of bond lengths and angles, and the temperature of each element."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from neuralmd.data.tally import degrees_of_freedom, without_drift
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY

_STRETCH: Final = 1.2
"""Mean length of a bond at most, over the sum of its atoms' natural radii."""

_CANDIDATE: Final = 1.6
"""The same in the first frame, where a bond may be stretched."""

_FRAMES_FOR_ROTATION: Final = 64

Samples = Mapping[str, Float[np.ndarray, " _"]]
"""Samples of a distribution by the kind of bond or angle: C-H, C-C-H."""


@dataclass(frozen=True, eq=False)
class Topology:
    """Which atoms are bound to each other.

    Attributes:
        symbols: Chemical symbol of each atom.
        bonds: The two atoms of each bond.
        shifts: Cell vector from a bond's second atom to the image of it that is bound [A]; zero without a cell.
    """

    symbols: tuple[str, ...]
    bonds: Int[np.ndarray, "bonds 2"]
    shifts: Float[np.ndarray, "bonds 3"]

    @classmethod
    def of(cls, trajectory: Trajectory) -> Topology:
        """Atoms are bound where their mean distance is below 1.2 times the sum of their natural (covalent) radii.

        The mean of the distance, and not the distance in the mean structure, because a molecule that tumbles or whose
        methyl groups turn has no mean structure. Natural radii are those of `ase.neighborlist.natural_cutoffs`.
        """
        from ase import Atoms
        from ase.neighborlist import natural_cutoffs, neighbor_list

        system = trajectory.system
        atoms = Atoms(system.atomic_numbers, trajectory.positions[0], cell=system.cell, pbc=system.pbc)
        if not system.pbc.any():
            atoms.center(vacuum=1.0)  # without a cell, ASE would look at all pairs of atoms at once
        radii = np.asarray(natural_cutoffs(atoms))
        first, second, images = neighbor_list("ijS", atoms, list(_CANDIDATE * radii))
        once = (first < second) | ((first == second) & (images @ [1e6, 1e3, 1.0] > 0))
        pairs, shifts = np.stack((first, second), axis=1)[once], (images @ np.asarray(atoms.cell))[once]
        candidates = cls(tuple(system.symbols), pairs, shifts)
        means = np.array([candidates.length(trajectory.positions, bond).mean() for bond in range(len(pairs))])
        bound = means < _STRETCH * radii[pairs].sum(axis=1)
        return cls(candidates.symbols, pairs[bound], shifts[bound])

    def length(self, positions: Float[np.ndarray, "frames atoms 3"], bond: int) -> Float[np.ndarray, " frames"]:
        """The length of one bond along a trajectory [A]."""
        return np.linalg.norm(self._vector(positions, bond), axis=1)

    def lengths(self, positions: Float[np.ndarray, "frames atoms 3"]) -> Samples:
        """Bond lengths [A] by kind of bond, as C-H, all frames and bonds of a kind together."""
        kinds: dict[str, list[np.ndarray]] = {}
        for bond, pair in enumerate(self.bonds):
            kind = "-".join(sorted(self.symbols[atom] for atom in pair))
            kinds.setdefault(kind, []).append(self.length(positions, bond))
        return {kind: np.concatenate(kinds[kind]) for kind in sorted(kinds)}

    def angles(self, positions: Float[np.ndarray, "frames atoms 3"]) -> Samples:
        """Angles between two bonds of one atom [degrees] by kind, as C-C-H, the middle atom in the middle."""
        kinds: dict[str, list[np.ndarray]] = {}
        for middle, symbol in enumerate(self.symbols):
            spokes = [(int(bond), int(end)) for bond, end in np.argwhere(self.bonds == middle)]
            for first, second in itertools.combinations(spokes, 2):
                cosine = (self._direction(positions, *first) * self._direction(positions, *second)).sum(axis=1)
                ends = sorted(self.symbols[self.bonds[bond, 1 - end]] for bond, end in (first, second))
                degrees = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
                kinds.setdefault(f"{ends[0]}-{symbol}-{ends[1]}", []).append(degrees)
        return {kind: np.concatenate(kinds[kind]) for kind in sorted(kinds)}

    def _vector(self, positions: np.ndarray, bond: int) -> np.ndarray:
        first, second = self.bonds[bond]
        return positions[:, second] + self.shifts[bond] - positions[:, first]

    def _direction(self, positions: np.ndarray, bond: int, end: int) -> np.ndarray:
        """The bond's direction as seen from one of its ends."""
        vector = self._vector(positions, bond) * (1.0 if end == 0 else -1.0)
        return vector / np.linalg.norm(vector, axis=1, keepdims=True)


def wasserstein(samples: Samples, truth: Samples) -> dict[str, float]:
    """W_1 = integral of |F - F_true|, by kind: how far the samples must move on average to be distributed as the truth.

    In the samples' own unit: A for bond lengths, degrees for angles. F is the cumulative distribution.

    Raises:
        DataError: If the kinds differ.
    """
    from scipy.stats import wasserstein_distance

    if samples.keys() != truth.keys():
        raise DataError(f"distributions of {sorted(samples)} cannot be compared with those of {sorted(truth)}")
    return {kind: float(wasserstein_distance(samples[kind], truth[kind])) for kind in truth}


def temperature_per_element(trajectory: Trajectory) -> dict[str, float]:
    """T_e = sum over the element's atoms of m_i <|v_i - v_com|^2> / (f_e k_B) [K].

    f_e = sum over the element's atoms of 3 - tr P_ii, where P projects mass-weighted velocities on the rigid motions
    that the trajectory lacks: translations, and rotations if it does not rotate. In equilibrium all T_e are equal.

    Raises:
        DataError: If the trajectory has no velocities.
    """
    if trajectory.velocities is None:
        raise DataError(
            "a temperature needs velocities, but the trajectory has none: derive them, as central differences"
        )
    system = trajectory.system
    velocities = without_drift(trajectory.velocities, system)
    energy = KINETIC_ENERGY * system.masses * (velocities**2).mean(axis=0).sum(axis=1) / BOLTZMANN
    freedom = _freedom_per_atom(trajectory)
    symbols = np.asarray(system.symbols)
    return {
        symbol: float(energy[symbols == symbol].sum() / freedom[symbols == symbol].sum())
        for symbol in sorted(set(system.symbols))
    }


def _freedom_per_atom(trajectory: Trajectory) -> Float[np.ndarray, " atoms"]:
    """3 - tr P_ii, the mean over some frames."""
    system = trajectory.system
    if system.atoms == 1 or trajectory.velocities is None:
        return np.full(system.atoms, 3.0)
    chosen = np.linspace(0, len(trajectory) - 1, min(len(trajectory), _FRAMES_FOR_ROTATION)).astype(int)
    positions = trajectory.positions[chosen]
    still = degrees_of_freedom(positions, trajectory.velocities[chosen], system) < 3 * system.atoms - 3
    frozen = [_frozen(frame, system, turns=bool(still.mean() < 0.5)) for frame in without_drift(positions, system)]
    return 3.0 - np.mean(frozen, axis=0)


def _frozen(positions: Float[np.ndarray, "atoms 3"], system: System, *, turns: bool) -> Float[np.ndarray, " atoms"]:
    """The tr P_ii of each atom."""
    identity = np.eye(3)
    motions = [np.broadcast_to(axis, positions.shape) for axis in identity]
    motions += [] if turns else [np.cross(axis, positions) for axis in identity]
    weighted = np.stack([(np.sqrt(system.masses)[:, None] * motion).ravel() for motion in motions], axis=1)
    basis, sizes, _ = np.linalg.svd(weighted, full_matrices=False)
    return (basis[:, sizes > 1e-6 * sizes[0]] ** 2).sum(axis=1).reshape(-1, 3).sum(axis=1)
