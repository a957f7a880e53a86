"""`EquivariantField`: an E(3)-equivariant message-passing network that gives accelerations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from e3nn import o3
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.errors import DataError
from neuralmd.fields.base import Field
from neuralmd.fields.constant import Constant
from neuralmd.fields.radial import GaussianBasis, RadialNetwork, smooth_cutoff
from neuralmd.fields.tensor_product import Coupling, Features, TensorPath, aggregate, allowed_paths
from neuralmd.system import Accelerations, PhaseState, System


class Gate(nn.Module):
    """SiLU on scalars; features of higher degree are multiplied by the sigmoid of a scalar of their own."""

    def __init__(self, channels: int, l_max: int) -> None:
        super().__init__()
        self.gates = nn.Linear(channels, l_max * channels)

    def forward(self, features: Features) -> Features:
        """Gated features of the same degrees."""
        scalars = features[0]
        opened = torch.sigmoid(self.gates(scalars)).chunk(max(len(features) - 1, 1), dim=-1)
        return [nn.functional.silu(scalars)] + [x * gate for x, gate in zip(features[1:], opened, strict=False)]


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


class EquivariantField(Field):
    """An e3nn field: equivariant to rotations, reflections, translations and the exchange of like atoms.

    a_i = s_i o_i - sum_j m_j s_j o_j / sum_j m_j,  o_i = W h_i^(1o)

    where h are features of degree 0 .. l_max after `layers` tensor-product interactions over all pairs within the
    cutoff, and s_i is the typical acceleration of atom i (see `set_scale`). The second term takes the net force off
    the centre of mass. The field does not depend on velocities, so it is time-reversible.

    Args:
        system: The molecule. The cost grows as the square of its number of atoms.
        channels: Features of each degree.
        l_max: Highest degree of features and harmonics.
        layers: Number of interactions.
        cutoff: Where messages fade to nothing [A].
        radial: The radial part of the messages.
        zero_net_force: Whether the centre of mass is left alone.

    Raises:
        DataError: If the system is periodic.

    Reference:
        Batzner et al., E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials,
        Nat. Commun. 13, 2453 (2022); Geiger & Smidt, e3nn (2022), arXiv:2207.09453.
    """

    species: Tensor
    pairs: Tensor
    scale: Tensor

    def __init__(
        self,
        system: System,
        channels: int = 24,
        l_max: int = 2,
        layers: int = 2,
        cutoff: float = 6.0,
        radial: RadialSettings = RadialSettings(),
        *,
        zero_net_force: bool = True,
    ) -> None:
        super().__init__()
        if system.pbc.any():
            raise DataError("the equivariant field takes molecules without a periodic cell, but this system has one")
        self.l_max, self.cutoff, self.zero_net_force = l_max, cutoff, zero_net_force
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        index = torch.as_tensor(species)
        self.register_buffer("species", index, persistent=False)
        self.register_buffer("pairs", index[:, None] * len(elements) + index, persistent=False)
        self._mass_share = Constant(torch.as_tensor(system.masses / system.masses.sum())[:, None])
        self.register_buffer("scale", torch.ones(system.atoms))
        self.harmonics = o3.SphericalHarmonics(
            list(range(l_max + 1)), normalize=True, normalization="component", irreps_in="1o"
        )
        self.basis = GaussianBasis(radial.basis, cutoff)
        self.embedding = nn.Parameter(torch.randn(len(elements), channels))
        self.readout = nn.Parameter(torch.randn(channels) / channels**0.5)
        interactions = [
            Interaction(channels, 0 if layer == 0 else l_max, l_max, 1 if layer == layers - 1 else l_max)
            for layer in range(layers)
        ]
        self.interactions = nn.ModuleList(interactions)
        self.radials = nn.ModuleList(
            RadialNetwork(radial.basis, len(elements), radial.width, len(interaction.paths) * channels)
            for interaction in interactions
        )
        self.paths = sorted({path for interaction in interactions for path in interaction.paths})
        self.couplings = nn.ModuleList(Coupling(path) for path in self.paths)

    @override
    def set_scale(self, scale: Float[Tensor, " atoms"]) -> None:
        self.scale.copy_(scale)

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        positions = state.positions
        atoms = positions.shape[1]
        separations = positions[:, None, :, :] - positions[:, :, None, :]
        # The distance of an atom to itself is put at 1: its weight is zero, and a root at zero has no gradient.
        itself = torch.eye(atoms, dtype=positions.dtype, device=positions.device)
        distances = (separations.square().sum(-1) + itself).sqrt()
        envelope = (smooth_cutoff(distances, self.cutoff) * (1.0 - itself) / atoms**0.5)[..., None]
        harmonics = self.harmonics(separations).split([2 * degree + 1 for degree in range(self.l_max + 1)], dim=-1)
        couplings = {
            path: fold(harmonics[path.harmonic]) for path, fold in zip(self.paths, self.couplings, strict=True)
        }
        basis = self.basis(distances)
        features: Features = [self.embedding[self.species][None, :, None, :].expand(len(positions), -1, -1, -1)]
        for interaction, radial in zip(self.interactions, self.radials, strict=True):
            features = interaction(features, couplings, radial(basis, self.pairs) * envelope)
        accelerations = (features[1] @ self.readout) * self.scale[:, None]
        if self.zero_net_force:
            share = self._mass_share.like(accelerations)
            accelerations = accelerations - (share * accelerations).sum(dim=1, keepdim=True)
        return accelerations
