"""`ListedPairs`: message passing along a neighbour list, at a cost and in a memory for each atom that stay the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neuralmd.fields.interaction import Interaction
from neuralmd.fields.neighbour_list import VerletList
from neuralmd.fields.radial import RadialNetworks
from neuralmd.fields.tensor_product import Coupling, Features
from neuralmd.fields.vicinity import Vicinity, vicinities
from neuralmd.system import Positions, System

_PAIRS_AT_ONCE = {"cpu": 4096, "cuda": 2**19}
"""Pairs of atoms that are computed at once, on a processor for each thread: more would leave its cache."""

_PAIRS_KEPT = {"cpu": 2**17, "cuda": 2**20}
"""Pairs of which a gradient may keep all that it needs, some 4 kB each; of more, messages are computed once again."""


class ListedPairs(nn.Module):
    """The layers of an `EquivariantNetwork`, with messages from those atoms only that are within the cutoff.

    The result is that of all pairs, since beyond the cutoff messages are exactly zero. All configurations of a batch
    are numbered through as the atoms of one large system, and computed in parts of some thousand pairs.

    Args:
        system: The atoms, and their cell if it is periodic.
        cutoff: Where messages fade to nothing [A].
        couplings: Of the paths of each layer.
        degree: Of the monomials.

    Raises:
        DataError: If the system is periodic and its cell has no volume.
    """

    species: Tensor

    def __init__(self, system: System, cutoff: float, couplings: Sequence[Coupling], degree: int) -> None:
        super().__init__()
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        self.register_buffer("species", torch.as_tensor(species), persistent=False)
        self._couplings = tuple(couplings)
        self._elements, self._cutoff, self._degree = len(elements), cutoff, degree
        self._list = VerletList(system, cutoff)

    def forward(
        self, interactions: nn.ModuleList, radials: RadialNetworks, positions: Positions, features: Features
    ) -> Features:
        """The features of all atoms after the last interaction."""
        batch, device = len(positions), positions.device.type
        flat, features = positions.flatten(0, 1), [each.transpose(0, 1).flatten(1, 2) for each in features]
        threads = torch.get_num_threads() if device == "cpu" else 1
        edges, at_once = self._list(positions), threads * _PAIRS_AT_ONCE.get(device, 2**19)
        around = vicinities(edges, flat.detach(), self._cutoff, at_once)
        again = torch.is_grad_enabled() and around.pairs > _PAIRS_KEPT.get(device, 2**20)
        layers = [each for each in interactions if isinstance(each, Interaction)]
        for layer, interaction in enumerate(layers):
            told = []
            for part in around.parts:
                what = (interaction, radials, layer, part, flat, *features)
                told.append(checkpoint(self._messages, *what, use_reentrant=False) if again else self._messages(*what))
            mixed = [torch.cat(each).index_select(0, around.places).transpose(0, 1) for each in zip(*told, strict=True)]
            features = [x[0] for x in interaction.update([x[None] for x in features], [x[None] for x in mixed])]
        return [each.unflatten(1, (batch, -1)).transpose(0, 1) for each in features]

    def _messages(
        self,
        interaction: Interaction,
        radials: RadialNetworks,
        layer: int,
        part: Vicinity,
        positions: Float[Tensor, "atoms 3"],
        *features: Float[Tensor, "_ atoms channels"],
    ) -> list[Float[Tensor, "centres _ channels"]]:
        """What some atoms are told in one layer, by degree."""
        pairs = part.pairs(positions, self._degree)
        species = self.species.repeat(len(positions) // len(self.species))
        elements = species[part.centres, None] * self._elements + species[part.neighbours]
        weights = radials.layer(layer, pairs.distances, elements.unsqueeze(0))
        seen = [part.gather(each).unsqueeze(0) for each in features]
        return interaction.messages(seen, self._couplings[layer](pairs.directions), weights)
