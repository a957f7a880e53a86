"""Neighbour lists: which atoms, and which periodic images of them, are within reach of each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.data.periodic import inverse_cell
from neuralmd.system import Positions, System

SKIN: Final = 0.7
"""How far beyond the cutoff a list reaches [A]: some 10 fs of a hydrogen atom's motion pass before it is made anew."""

_MOVED: Final = 0.499
"""The part of the skin by which an atom may move; two that approach each other use up nearly all of it."""

_FEW: Final = 32
"""Neighbours that a molecule's atom is reckoned to have at least, if there are so many."""

_DENSITY: Final = 0.1
"""Atoms in condensed matter [1/A^3]: water and organic liquids have 0.1, metals 0.06 to 0.09."""

Neighbours = Literal["auto", "all_pairs", "list"]
"""How neighbours are found; see `neuralmd.fields.network.EquivariantNetwork.use`."""

_LOST: Final = 1e5
"""Distance from the first atom at which an atom is lost [A]: a search has to count the cells between them."""


def typical_neighbours(system: System, cutoff: float) -> float:
    """How many neighbours an atom of the system has within the cutoff, about.

    n = rho 4/3 pi cutoff^3,  and no more than there are atoms where there are no images

    with the density of the periodic cell, or of condensed matter if there is none.

    Args:
        system: The atoms, and their cell if it is periodic.
        cutoff: Radius of the sphere [A].

    Raises:
        DataError: If the system is periodic and its cell has no volume.
    """
    inverse_cell(system)
    sphere = 4.0 / 3.0 * pi * cutoff**3
    if system.pbc.all():
        return max(1.0, system.atoms / abs(float(np.linalg.det(system.cell))) * sphere)
    dense = max(float(_FEW), _DENSITY * sphere)
    return dense if system.pbc.any() else min(float(system.atoms), dense)


@dataclass(frozen=True, eq=False)
class Edges:
    """Pairs of atoms of a batch, all configurations numbered through, in the order of their centres.

    Attributes:
        centres: The atom that sees, `configuration * atoms + atom`.
        neighbours: The atom that is seen, likewise.
        shifts: What to add to the neighbour's position for the image that is seen [A]; NaN where an atom is lost.
    """

    centres: Int[Tensor, " edges"]
    neighbours: Int[Tensor, " edges"]
    shifts: Float[Tensor, "edges 3"]


class VerletList:
    """All pairs within a cutoff, and some more, of each configuration of a batch.

    { (i, j, n) : |x_j + n cell - x_i| < cutoff + skin },  (i, j, n) != (i, i, 0)

    Every periodic image counts, of the atom itself too, however small the cell is. A configuration's list is made anew
    once one of its atoms has moved by half the skin since, and no earlier, so that no pair within the cutoff is missed.

    Args:
        system: The atoms and their cell.
        cutoff: What has to be found [A].
        skin: How much farther the list reaches [A].

    Raises:
        DataError: If the cell has no volume.

    Reference:
        Verlet, Computer experiments on classical fluids, Phys. Rev. 159, 98 (1967). The search itself is vesin's cell
        list, https://github.com/Luthaf/vesin.
    """

    def __init__(self, system: System, cutoff: float, skin: float = SKIN) -> None:
        inverse_cell(system)
        self._cell = np.array(system.cell, dtype=np.float64)
        self._pbc = np.array(system.pbc, dtype=bool)
        self._reach, self._limit = cutoff + skin, _MOVED * skin
        self._seen: Positions | None = None
        self._lists: list[Edges] = []
        self._edges: Edges | None = None

    def __call__(self, positions: Positions) -> Edges:
        """A list that holds all pairs within the cutoff."""
        current = positions.detach()
        stale = self._stale(current)
        if self._edges is None or self._seen is None or stale:
            self._seen = current.clone() if self._seen is None or len(stale) == len(current) else self._seen
            self._seen[stale] = current[stale]
            for row in stale:
                self._lists[row] = self._search(current[row])
            self._edges = _joined(self._lists, current.shape[1])
        return self._edges

    def _stale(self, current: Positions) -> list[int]:
        """The configurations whose list is not good any more; all of them where the batch is another one."""
        seen = self._seen
        if seen is None or seen.shape != current.shape or seen.dtype != current.dtype or seen.device != current.device:
            self._seen, self._edges = None, None
            self._lists = [_none(current)] * len(current)
            return list(range(len(current)))
        good = (current - seen).square().sum(-1).amax(-1) <= self._limit**2
        return good.logical_not().nonzero().flatten().tolist()

    def _search(self, positions: Float[Tensor, "atoms 3"]) -> Edges:
        from vesin import NeighborList

        points = positions.cpu().double().numpy()
        points = points - points[0]
        if not (np.abs(points) < _LOST).all():
            return _lost(positions)
        finder = NeighborList(cutoff=self._reach, full_list=True, sorted=True, n_threads=torch.get_num_threads())
        centres, neighbours, images = finder.compute(points, self._cell, self._pbc, "ijS")
        shifts = torch.as_tensor(images @ self._cell).to(positions)
        return Edges(_index(centres, positions), _index(neighbours, positions), shifts)


def _joined(lists: list[Edges], atoms: int) -> Edges:
    """The lists of all configurations as one."""
    return Edges(
        torch.cat([each.centres + row * atoms for row, each in enumerate(lists)]),
        torch.cat([each.neighbours + row * atoms for row, each in enumerate(lists)]),
        torch.cat([each.shifts for each in lists]),
    )


def _none(like: Tensor) -> Edges:
    nobody = torch.zeros(0, dtype=torch.long, device=like.device)
    return Edges(nobody, nobody, like.new_zeros(0, 3))


def _lost(positions: Float[Tensor, "atoms 3"]) -> Edges:
    """Edges that make every acceleration NaN: what moves like that is beyond a list, and has no meaning."""
    itself = torch.arange(len(positions), device=positions.device)
    return Edges(itself, itself, torch.full_like(positions, torch.nan))


def _index(numbers: np.ndarray, like: Tensor) -> Int[Tensor, " edges"]:
    return torch.as_tensor(numbers.astype(np.int64)).to(like.device)
