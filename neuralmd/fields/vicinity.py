"""What some atoms see around them, as arrays of equal rows, made from a neighbour list."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.fields.geometry import Pairs, monomials
from neuralmd.fields.neighbour_list import Edges


@dataclass(frozen=True, eq=False)
class Vicinity:
    """Some atoms of a batch, and for each of them the same number of neighbours.

    An atom that has fewer is listed as its own neighbour for the rest, which `padding` tells: it is put at distance 1
    from itself and in no direction, as in `PairGeometry`, and so gives itself no message.

    Attributes:
        centres: The atoms that see, all configurations numbered through.
        neighbours: The atoms that are seen, likewise.
        shifts: What to add to a neighbour's position for the image that is seen [A].
        padding: 1 where a neighbour is missing, and 0 elsewhere.
    """

    centres: Int[Tensor, " centres"]
    neighbours: Int[Tensor, "centres neighbours"]
    shifts: Float[Tensor, "centres 3 neighbours"]
    padding: Float[Tensor, "centres neighbours"]

    def pairs(self, positions: Float[Tensor, "atoms 3"], degree: int) -> Pairs:
        """Distances and directions of the neighbours, with `monomials` up to a degree."""
        others = self.gather(positions.T.unsqueeze(-1)).squeeze(-1)
        separations = others - positions.index_select(0, self.centres).unsqueeze(2) + self.shifts
        distances = (separations.square().sum(1) + self.padding).sqrt()
        directions = monomials(separations / distances.unsqueeze(1), degree)
        return Pairs(distances.unsqueeze(0), directions.unsqueeze(0))

    def gather(self, features: Float[Tensor, "m atoms channels"]) -> Float[Tensor, "centres m neighbours channels"]:
        """The features of all neighbours."""
        components, atoms, channels = features.shape
        offsets = atoms * torch.arange(components, device=features.device)
        rows = (self.neighbours.unsqueeze(1) + offsets[:, None]).flatten()
        found = features.reshape(-1, channels).index_select(0, rows)
        return found.view(len(self.centres), components, -1, channels)


@dataclass(frozen=True, eq=False)
class Vicinities:
    """All atoms of a batch in parts, ordered by their number of neighbours so that little is padded.

    Attributes:
        parts: The parts.
        places: For each atom of the batch, where it is in all parts together.
    """

    parts: tuple[Vicinity, ...]
    places: Int[Tensor, " atoms"]

    @property
    def pairs(self) -> int:
        """Number of pairs, padding included."""
        return sum(part.neighbours.numel() for part in self.parts)


@torch.no_grad()
def vicinities(edges: Edges, positions: Float[Tensor, "atoms 3"], cutoff: float, at_once: int) -> Vicinities:
    """The surroundings of all atoms, of those of the edges that are not longer than the cutoff.

    Args:
        edges: All pairs within the cutoff, and perhaps more.
        positions: Of the atoms of the batch, all configurations numbered through [A].
        cutoff: The longest distance [A].
        at_once: Pairs in one part, about.
    """
    apart = positions[edges.neighbours] - positions[edges.centres] + edges.shifts
    # What is not a number is kept, so that it shows.
    near = (apart.square().sum(1) >= cutoff**2).logical_not()
    centres, neighbours, shifts = edges.centres[near], edges.neighbours[near], edges.shifts[near]
    counts = torch.bincount(centres, minlength=len(positions))
    firsts = counts.cumsum(0) - counts
    # What stands behind the last edge is read where an atom has no neighbour; padding takes its place.
    neighbours = torch.cat((neighbours, neighbours.new_zeros(1)))
    shifts = torch.cat((shifts, shifts.new_zeros(1, 3)))
    order = counts.argsort(stable=True)
    size = max(1, at_once // max(1, int(counts.max())))
    parts = []
    for some in order.split(size):
        number = counts[some]
        slots = torch.arange(max(1, int(number[-1])), device=positions.device)
        missing = slots >= number[:, None]
        rows = (firsts[some, None] + slots).clamp(max=len(neighbours) - 1)
        moved = shifts[rows].masked_fill(missing.unsqueeze(2), 0.0).transpose(1, 2).contiguous()
        parts.append(Vicinity(some, torch.where(missing, some[:, None], neighbours[rows]), moved, missing.to(moved)))
    return Vicinities(tuple(parts), order.argsort())
