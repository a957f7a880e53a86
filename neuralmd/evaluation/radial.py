"""Radial distribution functions: which distances the atoms of two elements keep."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System

_FARTHEST: Final = 10.0
"""Largest distance in a periodic system, whose g(r) has no end [A]."""

_ROUNDING: Final = 1e-6
"""Of a bin, by which a cutoff may miss the bin's end."""

_AT_ONCE: Final = 2_000_000
"""Distances that are held in memory at a time."""


@dataclass(frozen=True, eq=False)
class RadialDistribution:
    """How many atoms of one element are found around an atom of another, and how far away.

    g_ab(r) = n_ab(r) / (4 pi r^2 rho_b),  integral of n_ab(r) dr = number of b atoms around an a atom

    In a periodic system rho_b is the density of b atoms that would be if they were spread evenly, (N_b - delta_ab) / V,
    so that g tends to 1 far away. A molecule in vacuum has no such density: there rho_b = 1, and g_ab(r), in A^-3, is
    the density of b atoms at the distance r, averaged over all directions; integral of 4 pi r^2 g_ab(r) dr =
    N_b - delta_ab.

    Attributes:
        radii: Middles of the bins [A].
        counts: n_ab(r) by pair, as C-H, elements in the order of the alphabet: mean over frames and a atoms [1/A].
        densities: rho_b by pair [A^-3]; 1 in vacuum.
        periodic: Whether g tends to 1.
    """

    radii: Float[np.ndarray, " bin"]
    counts: Mapping[str, Float[np.ndarray, " bin"]]
    densities: Mapping[str, float]
    periodic: bool

    @property
    def width(self) -> float:
        """Width of a bin [A]."""
        return 2 * float(self.radii[0])

    @property
    def cutoff(self) -> float:
        """The end of the last bin [A]."""
        return self.width * len(self.radii)

    def g(self, pair: str) -> Float[np.ndarray, " bin"]:
        """g_ab(r) of a pair; [A^-3] in vacuum, without a unit in a periodic system."""
        return self.counts[pair] / (4 * np.pi * self.radii**2 * self.densities[pair])


def radial_distribution(trajectory: Trajectory, width: float = 0.02, cutoff: float | None = None) -> RadialDistribution:
    """The radial distribution function of each pair of elements, over all frames.

    Args:
        trajectory: Distances of a periodic system are those of the nearest images.
        width: Width of the bins [A].
        cutoff: Largest distance [A]; none for the largest that is found or, in a periodic system, for half the smallest
            height of the cell, 10 A at most.

    Raises:
        DataError: If there is one atom only, or the cutoff goes beyond half the smallest height of the cell.
    """
    system = trajectory.system
    if system.atoms < 2:
        raise DataError("a radial distribution function needs two atoms, but the trajectory has one")
    edges = _edges(trajectory, width, cutoff)
    symbols, counts, densities = np.asarray(system.symbols), {}, {}
    periodic = bool(system.pbc.all())
    for first, second in itertools.combinations_with_replacement(sorted(set(system.symbols)), 2):
        pairs = _pairs(np.flatnonzero(symbols == first), np.flatnonzero(symbols == second))
        if len(pairs) == 0:
            continue
        name = f"{first}-{second}"
        around = len(pairs) / (symbols == first).sum() * (2 if first == second else 1)
        found = sum(np.histogram(block, edges)[0] for block in _distances(trajectory, pairs))
        counts[name] = found * around / (len(pairs) * len(trajectory) * width)
        densities[name] = float(around / abs(np.linalg.det(system.cell))) if periodic else 1.0
    return RadialDistribution((edges[1:] + edges[:-1]) / 2, counts, densities, periodic)


def radial_difference(found: RadialDistribution, truth: RadialDistribution) -> dict[str, float]:
    """The integral of |n_ab - n_ab,true| over that of n_ab,true, by pair.

    0 for equal distributions, 2 where no distance is right. It depends a little on the width of the bins.

    Raises:
        DataError: If pairs or bins differ.
    """
    if found.counts.keys() != truth.counts.keys() or len(found.radii) != len(truth.radii):
        raise DataError("radial distribution functions of other pairs or bins cannot be compared")
    return {
        pair: float(np.abs(found.counts[pair] - true).sum() / true.sum())
        for pair, true in truth.counts.items()
        if true.sum() > 0
    }


def _edges(trajectory: Trajectory, width: float, cutoff: float | None) -> np.ndarray:
    """The edges of the bins, from 0 to the cutoff or somewhat more; in a cell, somewhat less."""
    most = _half_height(trajectory.system)
    if cutoff is not None and cutoff > most * (1 + _ROUNDING):
        raise DataError(f"nearest images reach {most:.3g} A in this cell, so a cutoff of {cutoff:.3g} A is too far")
    if np.isfinite(most):
        bins = int((cutoff or min(most, _FARTHEST)) / width + _ROUNDING)
    else:
        bins = int(np.ceil((cutoff or _farthest(trajectory)) / width - _ROUNDING))
    return width * np.arange(max(1, bins) + 1)


def _pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Each pair of two different atoms once, for the atoms of one element or of two different ones."""
    both = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    return both[both[:, 0] < both[:, 1]] if first[0] == second[0] else both


def _distances(trajectory: Trajectory, pairs: np.ndarray) -> Iterator[np.ndarray]:
    """The distances of pairs of atoms, nearest images, some frames at a time [A]."""
    system, length = trajectory.system, max(1, _AT_ONCE // len(pairs))
    for start in range(0, len(trajectory), length):
        positions = trajectory.positions[start : start + length]
        arms = positions[:, pairs[:, 1]] - positions[:, pairs[:, 0]]
        if system.pbc.any():
            cells = np.round(arms @ np.linalg.pinv(system.cell))
            arms = arms - np.where(system.pbc, cells, 0.0) @ system.cell
        yield np.linalg.norm(arms, axis=2)


def _farthest(trajectory: Trajectory) -> float:
    every = np.arange(trajectory.system.atoms)
    return max(float(block.max()) for block in _distances(trajectory, _pairs(every, every)))


def _half_height(system: System) -> float:
    """Half the smallest distance of two opposite faces of the cell; infinite without a cell [A]."""
    if not system.pbc.any():
        return np.inf
    return 0.5 / float(np.linalg.norm(np.linalg.pinv(system.cell)[:, system.pbc], axis=0).max())
