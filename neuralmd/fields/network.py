"""`EquivariantNetwork`: E(3)-equivariant message passing between atoms within a cutoff, shared by several fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuralmd.errors import DataError
from neuralmd.fields.compiled import CompiledNetwork
from neuralmd.fields.geometry import PairGeometry
from neuralmd.fields.interaction import Interaction
from neuralmd.fields.listed import ListedPairs
from neuralmd.fields.neighbour_list import Neighbours, typical_neighbours
from neuralmd.fields.radial import RADIAL, RadialNetworks, RadialSettings
from neuralmd.fields.tensor_product import Coupling, Features
from neuralmd.system import Positions, System

_PAIRS_AT_ONCE = 4096
"""Pairs of atoms that each thread takes at once where no gradient is wanted: more than that leave its cache."""

_FEW_ATOMS = 100
"""A molecule of so many atoms is computed faster without a list."""


@dataclass(frozen=True)
class MessageSettings:
    """What atoms tell each other.

    Attributes:
        radial: The radial part.
        correlation: How many neighbours one feature of a layer sees together at most; 1 for a sum over neighbours, more
            for products of such sums (see `ManyBody`).
    """

    radial: RadialSettings = RADIAL
    correlation: int = 1


MESSAGES: Final = MessageSettings()
"""The messages of a field if nobody says otherwise."""


@dataclass(frozen=True)
class NetworkSettings:
    """The size of a network.

    Attributes:
        channels: Features of each degree.
        l_max: Highest degree of features and harmonics.
        layers: Number of interactions.
        cutoff: Where messages fade to nothing [A].
        messages: What atoms tell each other.
    """

    channels: int = 24
    l_max: int = 2
    layers: int = 2
    cutoff: float = 6.0
    messages: MessageSettings = MESSAGES


@dataclass(frozen=True)
class Degrees:
    """Highest degree of what a network reads of each atom and of what it gives.

    Attributes:
        inputs: 0 for scalars only, 1 with vectors.
        outputs: 0 for scalars only, 1 with vectors.
    """

    inputs: int = 0
    outputs: int = 1


class SpeciesEmbedding(nn.Module):
    """What every atom starts from: scalars of its element."""

    species: Tensor

    def __init__(self, system: System, channels: int) -> None:
        super().__init__()
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        self.register_buffer("species", torch.as_tensor(species), persistent=False)
        self.table = nn.Parameter(torch.randn(len(elements), channels))

    def forward(self, batch: int) -> Float[Tensor, "batch 1 atoms channels"]:
        """The scalars, the same for each configuration of the batch."""
        return nn.functional.embedding(self.species, self.table).expand(batch, 1, -1, -1)


class EquivariantNetwork(nn.Module):
    """Positions, and features of each atom that come with them, to features of each atom that turn with the molecule.

    h = x^(layers),  x^(k+1) = Interaction(x^(k), positions)

    Invariant to translations; equivariant to rotations, reflections and the exchange of like atoms, as the features
    that come in are. In a periodic cell, an atom sees every image of its neighbours within the cutoff.

    Args:
        system: The atoms, and their cell if it is periodic.
        settings: Its size.
        degrees: What comes in and what goes out.

    Raises:
        DataError: If the system is periodic and its cell has no volume.

    Reference:
        Batzner et al., E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials,
        Nat. Commun. 13, 2453 (2022); Geiger & Smidt, e3nn (2022), arXiv:2207.09453.
    """

    species: Tensor
    geometry: PairGeometry | None
    coupling: Coupling | None
    listed: ListedPairs | None
    compiled: CompiledNetwork | None

    def __init__(self, system: System, settings: NetworkSettings, degrees: Degrees) -> None:
        super().__init__()
        channels, l_max, layers = settings.channels, settings.l_max, settings.layers
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        self.register_buffer("species", torch.as_tensor(species), persistent=False)
        self._system, self._elements, self._degree = system, len(elements), max(l_max, 2)
        interactions = [
            Interaction(
                channels,
                degrees.inputs if layer == 0 else l_max,
                l_max,
                degrees.outputs if layer == layers - 1 else l_max,
                settings.messages.correlation,
            )
            for layer in range(layers)
        ]
        self.interactions = nn.ModuleList(interactions)
        self._paths = [each.paths for each in interactions]
        count = [len(each) for each in self._paths]
        pairs = self._element_pairs(torch.arange(len(elements)))
        self.radials = RadialNetworks(settings.messages.radial, settings.cutoff, pairs, count, channels)
        self.compiled = None
        self.use("auto")

    def use(self, neighbours: Neighbours) -> None:
        """Find neighbours in another way from now on. Weights stay, and results but for rounding.

        Args:
            neighbours: `all_pairs` computes every pair of a molecule, within the cutoff or not: best for a small one.
                `list` keeps a neighbour list, so that the cost grows with the number of atoms and not with its square,
                and takes periodic cells. `auto` is `list` for a periodic system and for one of more than 100 atoms.

        Raises:
            DataError: If all pairs of a periodic system are asked for.
        """
        periodic = bool(self._system.pbc.any())
        if periodic and neighbours == "all_pairs":
            raise DataError("a periodic system has no end of pairs: take neighbours=list or auto, or drop the cell")
        listed = neighbours == "list" or (neighbours == "auto" and (periodic or self._system.atoms > _FEW_ATOMS))
        usual = typical_neighbours(self._system, self.radials.cutoff)
        self.geometry = None if listed else PairGeometry(self._system.atoms, self._degree)
        every = sorted({path for paths in self._paths for path in paths})
        self.coupling = None if listed else Coupling(every, usual, self._degree)
        couplings = [Coupling(paths, usual, self._degree) for paths in self._paths] if listed else []
        self.listed = ListedPairs(self._system, self.radials.cutoff, couplings, self._degree) if listed else None
        if self.listed is not None:
            self.listed.to(self.species.device)
        of_pairs = torch.arange(self._elements, device=self.species.device) if listed else self.species
        self.radials.pairs = self._element_pairs(of_pairs)
        if self.radials.table is not None:
            self.radials.tabulate()

    def forward(self, positions: Positions, features: Features) -> Features:
        """The features of all atoms after the last interaction."""
        if self.listed is not None:
            return self.listed(self.interactions, self.radials, positions, features)
        compiled, coupling = self.compiled, self.coupling
        if compiled is not None and coupling is not None and compiled.takes(self.radials, positions, features):
            return compiled(self.interactions, self.radials, coupling, positions, features)
        at_once = max(1, _PAIRS_AT_ONCE * torch.get_num_threads() // positions.shape[1] ** 2)
        wanted = torch.is_grad_enabled() and any(each.requires_grad for each in (positions, *features))
        if wanted or positions.device.type != "cpu" or len(positions) <= at_once:
            return self._layers(positions, features)
        inputs = zip(*(each.split(at_once) for each in features), strict=True)
        parts = [self._layers(*part) for part in zip(positions.split(at_once), map(list, inputs), strict=True)]
        return [torch.cat(part) for part in zip(*parts, strict=True)]

    def _layers(self, positions: Positions, features: Features) -> Features:
        if self.geometry is None or self.coupling is None:
            raise ValueError("all pairs are not in use")
        pairs = self.geometry(positions)
        couplings = self.coupling(pairs.directions)
        for interaction, weights in zip(self.interactions, self.radials(pairs.distances), strict=True):
            features = interaction(features, couplings, weights)
        return features

    def _element_pairs(self, species: Int[Tensor, " some"]) -> Int[Tensor, "some some"]:
        """For each pair of the given species, the row of its two elements in the element-pair table."""
        return species[:, None] * self._elements + species
