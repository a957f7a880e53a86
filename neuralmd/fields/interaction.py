"""`Interaction`: one layer of the equivariant network, and the gate at its end."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.fields.many_body import ManyBody
from neuralmd.fields.tensor_product import Features, TensorPath, aggregate, allowed_paths


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

    x_i' = gate( B( L( sum_j R(r_ij) (x) Y(r_ij) (x) x_j / sqrt(atoms) ) ) + S x_i )

    where B is nothing at a correlation of 1, and else the products of `ManyBody`.
    """

    products: ManyBody | None

    def __init__(self, channels: int, l_in: int, l_harmonics: int, l_out: int, correlation: int = 1) -> None:
        super().__init__()
        told = l_out if correlation == 1 else l_harmonics
        self.paths = paths = allowed_paths(l_in, l_harmonics, told)
        self.l_out = l_out
        fan_in = [sum(path.output == degree for path in paths) for degree in range(told + 1)]
        self.mix = nn.ParameterList(
            nn.Parameter(torch.randn(count * channels, channels) / (count * channels) ** 0.5) for count in fan_in
        )
        self.keep = nn.ParameterList(
            nn.Parameter(torch.randn(channels, channels) / channels**0.5) for _ in range(min(l_in, l_out) + 1)
        )
        self.products = None if correlation == 1 else ManyBody(channels, told, l_out, correlation)
        self.gate = Gate(channels, l_out)

    def forward(
        self,
        features: Features,
        couplings: dict[TensorPath, Float[Tensor, "centres _ _"]],
        weights: list[Float[Tensor, "batch atoms 1 atoms channels"]],
    ) -> Features:
        """The features after this layer, from G and R of each path, where every atom sees every other."""
        messages = self.messages([each.unsqueeze(1) for each in features], couplings, weights)
        return self.update(features, [each.unflatten(0, weights[0].shape[:2]).transpose(1, 2) for each in messages])

    def messages(
        self,
        seen: list[Float[Tensor, "batch _ _ neighbours channels"]],
        couplings: dict[TensorPath, Float[Tensor, "centres _ _"]],
        weights: list[Float[Tensor, "batch _ 1 neighbours channels"]],
    ) -> list[Float[Tensor, "centres _ channels"]]:
        """What each atom is told by its neighbours, by degree, from the features that it sees of them."""
        messages: list[list[Tensor]] = [[] for _ in self.mix]
        for path, weight in zip(self.paths, weights, strict=True):
            messages[path.output].append(aggregate(couplings[path], weight, seen[path.feature]))
        return [
            torch.cat(parts, dim=-1)[:, : 2 * degree + 1] @ mix
            for degree, (parts, mix) in enumerate(zip(messages, self.mix, strict=True))
        ]

    def update(self, features: Features, mixed: Features) -> Features:
        """The features after this layer, from those before it and what the neighbours tell."""
        mixed = list(mixed if self.products is None else self.products(mixed))
        for degree, keep in enumerate(self.keep):
            mixed[degree] = mixed[degree] + features[degree] @ keep
        return [each.contiguous() for each in self.gate(mixed)]
