"""`EquivariantField` written with e3nn's own modules on a list of edges: what the field's speed is measured against.

Messages are an `o3.TensorProduct` in mode uvu whose weights an `e3nn.nn.FullyConnectedNet` gives from the Gaussians of
the distance and the one-hot pair of elements; they are summed with `index_add`; `o3.Linear` mixes them, their powers
are an `o3.TensorProduct` in mode uuu, and `e3nn.nn.Gate` closes the layer. The edges of the fully connected molecules
are made once, not at each call.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from e3nn import o3
from e3nn.nn import FullyConnectedNet, Gate
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.many_body import ManyBody
from neuralmd.fields.network import Interaction
from neuralmd.fields.radial import GaussianBasis, RadialNetwork, smooth_cutoff
from neuralmd.system import Positions, System


def irreps_of(channels: int, l_max: int) -> o3.Irreps:
    """`channels` features of each degree with natural parity."""
    return o3.Irreps([(channels, (degree, (-1) ** degree)) for degree in range(l_max + 1)])


class PlainProducts(nn.Module):
    """Powers of the messages: `o3.TensorProduct` in mode uuu, mixed by `o3.Linear`."""

    def __init__(self, products: ManyBody) -> None:
        super().__init__()
        channels, self.root = products.powers[0].mix[0].shape[1], products.correlation**0.5
        self.kept = (products.l_out + 1) ** 2 * channels
        self.couplings, self.mixes = nn.ModuleList(), nn.ModuleList()
        for product in products.products():
            told = irreps_of(channels, product.l_max)
            middle = o3.Irreps([(channels, (path.output, (-1) ** path.output)) for path in product.paths])
            paths = [(path.feature, path.harmonic, k, "uuu", False) for k, path in enumerate(product.paths)]
            normalisation = {"irrep_normalization": "component", "path_normalization": "none"}
            self.couplings.append(o3.TensorProduct(told, told, middle, paths, **normalisation))
            self.mixes.append(o3.Linear(middle, irreps_of(channels, len(product.mix) - 1)))
            fill(self.mixes[-1], list(product.mix))

    def forward(self, messages: Tensor) -> Tensor:
        power, total = messages, messages[:, : self.kept]
        for coupling, mix in zip(self.couplings, self.mixes, strict=True):
            power = mix(coupling(power, messages))
            total = total + power[:, : self.kept]
        return total / self.root


class PlainInteraction(nn.Module):
    """One layer of the network."""

    def __init__(self, interaction: Interaction, radial: RadialNetwork, l_harmonics: int) -> None:
        super().__init__()
        channels = interaction.keep[0].shape[0]
        paths, l_out = interaction.paths, interaction.l_out
        l_in = max(path.feature for path in paths)
        self.l_out, self.channels = l_out, channels
        before, after = irreps_of(channels, l_in), irreps_of(channels, l_out)
        gates = o3.Irreps(f"{l_out * channels}x0e") if l_out else o3.Irreps("")
        self.gate = Gate(after[:1], [nn.functional.silu], gates, [torch.sigmoid] if l_out else [], after[1:])
        middle = o3.Irreps([(channels, (path.output, (-1) ** path.output)) for path in paths])
        self.product = o3.TensorProduct(
            before,
            o3.Irreps.spherical_harmonics(l_harmonics),
            middle,
            [(path.feature, path.harmonic, k, "uvu", True) for k, path in enumerate(paths)],
            shared_weights=False,
            internal_weights=False,
            irrep_normalization="component",
            path_normalization="none",
        )
        products = interaction.products
        self.products = None if products is None else PlainProducts(products)
        told = self.gate.irreps_in if products is None else irreps_of(channels, max(path.output for path in paths))
        self.mix = o3.Linear(middle, told, biases=products is None)
        self.keep = o3.Linear(before, self.gate.irreps_in if products is None else after)
        self.opened = None if products is None else o3.Linear(after[:1], gates, biases=True)
        inputs = radial.inner.in_features + len(radial.pair)
        width = radial.inner.out_features
        self.radial = FullyConnectedNet([inputs, width, len(paths) * channels], nn.functional.silu)
        self._take(interaction, radial)

    @torch.no_grad()
    def _take(self, interaction: Interaction, radial: RadialNetwork) -> None:
        """Take the field's weights, in e3nn's normalisation of linear maps and activations."""
        first, second = (getattr(self.radial, f"layer{k}") for k in (0, 1))
        first.weight.copy_(torch.cat((radial.inner.weight.T, radial.pair)) * first.h_in**0.5)
        second.weight.copy_(radial.outer.weight.T * (second.h_in / second.var_in) ** 0.5 / first.act.cst)
        gates = interaction.gate.gates
        scalar_mix, scalar_keep = interaction.mix[0], interaction.keep[0]
        if self.opened is not None and gates is not None:
            self.opened.bias.copy_(gates.bias)
            fill(self.opened, [gates.weight.T])
        elif gates is not None:
            scalar_mix = torch.cat((scalar_mix, scalar_mix @ gates.weight.T), dim=1)
            scalar_keep = torch.cat((scalar_keep, scalar_keep @ gates.weight.T), dim=1)
            self.mix.bias.copy_(torch.cat((torch.zeros(self.channels), gates.bias)))
        fill(self.mix, [scalar_mix, *interaction.mix[1:]])
        fill(self.keep, [scalar_keep, *interaction.keep[1:]])

    def forward(self, features: Tensor, harmonics: Tensor, inputs: Tensor, envelope: Tensor, edges: Tensor) -> Tensor:
        weights = self.radial(inputs) * envelope
        messages = self.product(features[edges[1]], harmonics, weights)
        summed = messages.new_zeros(len(features), messages.shape[1]).index_add(0, edges[0], messages)
        if self.products is None or self.opened is None:
            return self.gate(self.mix(summed) + self.keep(features))
        mixed = self.products(self.mix(summed)) + self.keep(features)
        scalars, rest = mixed[:, : self.channels], mixed[:, self.channels :]
        return self.gate(torch.cat((scalars, self.opened(scalars), rest), dim=1))


@torch.no_grad()
def fill(linear: o3.Linear, wanted: list[Tensor]) -> None:
    """Set an o3.Linear so that it multiplies the irreps of each degree, concatenated, by the wanted matrix.

    Column blocks that e3nn keeps apart (scalars and gates) and row blocks (one for each path) follow one another.
    """
    rows, columns = starts(linear.irreps_in), starts(linear.irreps_out)
    for instruction, weight in weights_of(linear):
        degree, top, left = linear.irreps_in[instruction.i_in].ir.l, rows[instruction.i_in], columns[instruction.i_out]
        part = wanted[degree][top : top + weight.shape[0], left : left + weight.shape[1]]
        weight.copy_(part / instruction.path_weight)


def starts(irreps: o3.Irreps) -> list[int]:
    """Where each block begins among the features of its degree."""
    return [sum(other.mul for other in irreps[:k] if other.ir == block.ir) for k, block in enumerate(irreps)]


def weights_of(linear: o3.Linear) -> Iterator[tuple[Any, Tensor]]:
    """The instructions with their weights; those of biases, which e3nn lists last, are left out."""
    count = sum(instruction.i_in != -1 for instruction in linear.instructions)
    for _, instruction, weight in islice(linear.weight_views(yield_instruction=True), count):
        yield instruction, weight


class PlainE3NN(nn.Module):
    """The same accelerations as the field that it takes its weights from.

    Args:
        field: The field.
        system: Its molecule.
    """

    def __init__(self, field: EquivariantField, system: System) -> None:
        super().__init__()
        network = field.network
        l_max = max(path.harmonic for path in network.interactions[0].paths)
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        self.species = torch.as_tensor(species)
        self.elements, self.atoms, self.cutoff = len(elements), system.atoms, network.radials.cutoff
        self.basis = GaussianBasis(network.radials.networks[0].inner.in_features, network.radials.cutoff)
        self.harmonics = o3.SphericalHarmonics(
            list(range(l_max + 1)), normalize=True, normalization="component", irreps_in="1o"
        )
        self.table = nn.Parameter(field.embedding.table.detach().clone())
        self.layers = nn.ModuleList(
            PlainInteraction(interaction, radial, l_max)
            for interaction, radial in zip(network.interactions, network.radials.networks, strict=True)
        )
        last = self.layers[-1].gate
        channels = field.readout.weights.shape[0]
        self.readout = o3.Linear(f"{channels}x0e+{channels}x1o", "1x1o")
        vectors = field.readout.weights.detach()[:, None]
        fill(self.readout, [torch.zeros(0), vectors])
        self._undo_activations(last)
        self.scale = field.readout.scale
        self.mass_share = torch.as_tensor(system.masses / system.masses.sum(), dtype=torch.get_default_dtype())[:, None]

    @torch.no_grad()
    def _undo_activations(self, last: Gate) -> None:
        """e3nn's Gate multiplies each activation by a constant; what follows is divided by it."""
        for layer, following in zip(self.layers, [*self.layers[1:], None], strict=True):
            factors = [1 / layer.gate.act_scalars.acts[0].cst]
            factors += [1 / layer.gate.act_gates.acts[0].cst] * layer.l_out
            if following is None:
                self.readout.weight.mul_(factors[1])
                continue
            for product_weight, path in zip(
                following.radial.layer1.weight.chunk(len(following.product.instructions), dim=1),
                following.product.instructions,
                strict=True,
            ):
                product_weight.mul_(factors[path.i_in1])
            for instruction, weight in weights_of(following.keep):
                weight.mul_(factors[instruction.i_in])

    def edges(self, batch: int) -> Int[Tensor, "2 edges"]:
        """Centre and neighbour of each message in a batch of molecules."""
        centres, neighbours = torch.nonzero(1 - torch.eye(self.atoms), as_tuple=True)
        offsets = self.atoms * torch.arange(batch)[:, None]
        return torch.stack([(each + offsets).flatten() for each in (centres, neighbours)])

    def forward(self, positions: Positions, edges: Int[Tensor, "2 edges"]) -> Float[Tensor, "batch atoms 3"]:
        batch = len(positions)
        flat, species = positions.reshape(-1, 3), self.species.repeat(batch)
        # neuralmd's components are in e3nn's order, y z x for its vectors: the same Cartesian axes as they come.
        vectors = flat[edges[1]] - flat[edges[0]]
        distances = vectors.norm(dim=-1)
        harmonics = self.harmonics(vectors)
        pair = species[edges[0]] * self.elements + species[edges[1]]
        one_hot = nn.functional.one_hot(pair, self.elements**2).to(vectors.dtype)
        inputs = torch.cat((self.basis(distances), one_hot), dim=-1)
        envelope = (smooth_cutoff(distances, self.cutoff) / self.atoms**0.5)[:, None]
        features = self.table[species]
        for layer in self.layers:
            features = layer(features, harmonics, inputs, envelope, edges)
        accelerations = self.readout(features).reshape(positions.shape) * self.scale[:, None]
        return accelerations - (self.mass_share * accelerations).sum(dim=1, keepdim=True)
