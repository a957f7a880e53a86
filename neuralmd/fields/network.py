"""`EquivariantNetwork`: E(3)-equivariant message passing over all pairs of atoms, shared by several fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.errors import DataError
from neuralmd.fields.geometry import PairGeometry
from neuralmd.fields.radial import RADIAL, RadialNetworks, RadialSettings
from neuralmd.fields.tensor_product import Coupling, Features, TensorPath, aggregate, allowed_paths
from neuralmd.system import Positions, System

_PAIRS_AT_ONCE = 4096
"""Pairs of atoms that each thread takes at once where no gradient is wanted: more than that leave its cache."""


class Gate(nn.Module):
    """SiLU on scalars; features of higher degree are multiplied by the sigmoid of a scalar of their own."""

    def __init__(self, channels: int, l_max: int) -> None:
        super().__init__()
        self.gates = nn.Linear(channels, l_max * channels) if l_max > 0 else None

    def forward(self, features: Features) -> Features:
        """Gated features of the same degrees."""
        scalars = features[0]
        if self.gates is None:
            return [nn.functional.silu(scalars)]
        opened = torch.sigmoid(self.gates(scalars)).chunk(len(features) - 1, dim=-1)
        return [nn.functional.silu(scalars)] + [x * gate for x, gate in zip(features[1:], opened, strict=True)]


class Interaction(nn.Module):
    """One layer: tensor-product messages, a linear mix of the channels, a self-connection and a gate.

    x_i' = gate( L( sum_j R(r_ij) (x) Y(r_ij) (x) x_j / sqrt(atoms) ) + S x_i )
    """

    def __init__(self, channels: int, l_in: int, l_harmonics: int, l_out: int) -> None:
        super().__init__()
        self.paths = paths = allowed_paths(l_in, l_harmonics, l_out)
        self.l_out = l_out
        fan_in = [sum(path.output == degree for path in paths) for degree in range(l_out + 1)]
        self.mix = nn.ParameterList(
            nn.Parameter(torch.randn(count * channels, channels) / (count * channels) ** 0.5) for count in fan_in
        )
        self.keep = nn.ParameterList(
            nn.Parameter(torch.randn(channels, channels) / channels**0.5) for _ in range(min(l_in, l_out) + 1)
        )
        self.gate = Gate(channels, l_out)

    def forward(
        self,
        features: Features,
        couplings: dict[TensorPath, Float[Tensor, "centres _ _"]],
        weights: list[Float[Tensor, "batch atoms 1 atoms channels"]],
    ) -> Features:
        """The features after this layer, from G and R of each path."""
        shape = weights[0].shape[:2]
        messages: list[list[Tensor]] = [[] for _ in range(self.l_out + 1)]
        for path, weight in zip(self.paths, weights, strict=True):
            messages[path.output].append(aggregate(couplings[path], weight, features[path.feature]))
        mixed = [
            (torch.cat(parts, dim=-1)[:, : 2 * degree + 1] @ mix).unflatten(0, shape).transpose(1, 2)
            for degree, (parts, mix) in enumerate(zip(messages, self.mix, strict=True))
        ]
        for degree, keep in enumerate(self.keep):
            mixed[degree] = mixed[degree] + features[degree] @ keep
        return [each.contiguous() for each in self.gate(mixed)]


@dataclass(frozen=True)
class NetworkSettings:
    """The size of a network.

    Attributes:
        channels: Features of each degree.
        l_max: Highest degree of features and harmonics.
        layers: Number of interactions.
        cutoff: Where messages fade to nothing [A].
        radial: The radial part of the messages.
    """

    channels: int = 24
    l_max: int = 2
    layers: int = 2
    cutoff: float = 6.0
    radial: RadialSettings = RADIAL


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
    that come in are.

    Args:
        system: The molecule. The cost grows as the square of its number of atoms.
        settings: Its size.
        degrees: What comes in and what goes out.

    Raises:
        DataError: If the system is periodic.

    Reference:
        Batzner et al., E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials,
        Nat. Commun. 13, 2453 (2022); Geiger & Smidt, e3nn (2022), arXiv:2207.09453.
    """

    def __init__(self, system: System, settings: NetworkSettings, degrees: Degrees) -> None:
        super().__init__()
        if system.pbc.any():
            raise DataError("the equivariant fields take molecules without a periodic cell, but this system has one")
        channels, l_max, layers = settings.channels, settings.l_max, settings.layers
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        index = torch.as_tensor(species)
        pairs = index[:, None] * len(elements) + index
        degree = max(l_max, 2)
        self.geometry = PairGeometry(system.atoms, degree)
        interactions = [
            Interaction(
                channels,
                degrees.inputs if layer == 0 else l_max,
                l_max,
                degrees.outputs if layer == layers - 1 else l_max,
            )
            for layer in range(layers)
        ]
        self.interactions = nn.ModuleList(interactions)
        paths = [len(each.paths) for each in interactions]
        self.radials = RadialNetworks(settings.radial, settings.cutoff, pairs, paths, channels)
        every = sorted({path for each in interactions for path in each.paths})
        self.coupling = Coupling(every, system.atoms, degree)

    def forward(self, positions: Positions, features: Features) -> Features:
        """The features of all atoms after the last interaction."""
        at_once = max(1, _PAIRS_AT_ONCE * torch.get_num_threads() // positions.shape[1] ** 2)
        wanted = torch.is_grad_enabled() and any(each.requires_grad for each in (positions, *features))
        if wanted or positions.device.type != "cpu" or len(positions) <= at_once:
            return self._layers(positions, features)
        inputs = zip(*(each.split(at_once) for each in features), strict=True)
        parts = [self._layers(*part) for part in zip(positions.split(at_once), map(list, inputs), strict=True)]
        return [torch.cat(part) for part in zip(*parts, strict=True)]

    def _layers(self, positions: Positions, features: Features) -> Features:
        pairs = self.geometry(positions)
        couplings = self.coupling(pairs.directions)
        for interaction, weights in zip(self.interactions, self.radials(pairs.distances), strict=True):
            features = interaction(features, couplings, weights)
        return features
