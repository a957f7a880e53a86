"""`EquivariantNetwork`: E(3)-equivariant message passing over all pairs of atoms, shared by several fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from e3nn import o3
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.errors import DataError
from neuralmd.fields.radial import GaussianBasis, RadialNetwork, smooth_cutoff
from neuralmd.fields.tensor_product import Coupling, Features, TensorPath, aggregate, allowed_paths
from neuralmd.system import Positions, System


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
        couplings: dict[TensorPath, Tensor],
        weights: Float[Tensor, "batch atoms atoms pathchannels"],
    ) -> Features:
        """The features after this layer."""
        per_path = weights.chunk(len(self.paths), dim=-1)
        messages: list[list[Tensor]] = [[] for _ in range(self.l_out + 1)]
        for path, weight in zip(self.paths, per_path, strict=True):
            messages[path.output].append(aggregate(couplings[path], weight, features[path.feature]))
        mixed = [torch.cat(parts, dim=-1) @ mix for parts, mix in zip(messages, self.mix, strict=True)]
        for degree, keep in enumerate(self.keep):
            mixed[degree] = mixed[degree] + features[degree] @ keep
        return self.gate(mixed)


@dataclass(frozen=True)
class RadialSettings:
    """The radial part of the messages.

    Attributes:
        basis: Number of Gaussians.
        width: Hidden width of the radial network.
    """

    basis: int = 16
    width: int = 32


RADIAL: Final = RadialSettings()
"""The radial part that a field has if nobody says otherwise."""


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

    def forward(self, batch: int) -> Float[Tensor, "batch atoms 1 channels"]:
        """The scalars, the same for each configuration of the batch."""
        return self.table[self.species][None, :, None, :].expand(batch, -1, -1, -1)


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

    pairs: Tensor

    def __init__(self, system: System, settings: NetworkSettings, degrees: Degrees) -> None:
        super().__init__()
        if system.pbc.any():
            raise DataError("the equivariant fields take molecules without a periodic cell, but this system has one")
        channels, l_max, layers, radial = settings.channels, settings.l_max, settings.layers, settings.radial
        self.l_max, self.cutoff = l_max, settings.cutoff
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        index = torch.as_tensor(species)
        self.register_buffer("pairs", index[:, None] * len(elements) + index, persistent=False)
        self.harmonics = o3.SphericalHarmonics(
            list(range(l_max + 1)), normalize=False, normalization="component", irreps_in="1o"
        )
        self.basis = GaussianBasis(radial.basis, settings.cutoff)
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
        self.radials = nn.ModuleList(
            RadialNetwork(radial.basis, len(elements), radial.width, len(interaction.paths) * channels)
            for interaction in interactions
        )
        self.paths = sorted({path for interaction in interactions for path in interaction.paths})
        self.couplings = nn.ModuleList(Coupling(path) for path in self.paths)

    def forward(self, positions: Positions, features: Features) -> Features:
        """The features of all atoms after the last interaction."""
        atoms = positions.shape[1]
        itself = torch.eye(atoms, dtype=positions.dtype, device=positions.device)
        # An atom is put at distance 1 from itself: its weight is zero, and a root has no derivatives at zero.
        offset = nn.functional.pad(itself[..., None], (2, 0))
        separations = positions[:, None, :, :] - positions[:, :, None, :] + offset
        distances = separations.square().sum(-1).sqrt()
        envelope = (smooth_cutoff(distances, self.cutoff) * (1.0 - itself) / atoms**0.5)[..., None]
        harmonics = self.harmonics(separations / distances[..., None])
        by_degree = harmonics.split([2 * degree + 1 for degree in range(self.l_max + 1)], dim=-1)
        couplings = {
            path: fold(by_degree[path.harmonic]) for path, fold in zip(self.paths, self.couplings, strict=True)
        }
        basis = self.basis(distances)
        for interaction, radial in zip(self.interactions, self.radials, strict=True):
            features = interaction(features, couplings, radial(basis, self.pairs) * envelope)
        return features
