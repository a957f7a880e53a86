"""What a message knows of a distance: a basis of functions, a smooth cutoff and a small network on top of both."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final, Self, assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.fields.constant import Constant
from neuralmd.fields.radial_table import RadialTable

SHORTEST_DISTANCE = 0.7
"""Where the basis begins [A]: no bond is shorter (H-H is 0.74 A)."""


class RadialKind(StrEnum):
    """What the functions of the basis are."""

    GAUSSIAN = "gaussian"
    """See `GaussianBasis`."""

    BESSEL = "bessel"
    """See `BesselBasis`."""


@dataclass(frozen=True)
class RadialSettings:
    """The radial part of the messages.

    Attributes:
        basis: Number of functions of the basis.
        width: Hidden width of the radial network.
        kind: What the functions of the basis are.
    """

    basis: int = 16
    width: int = 32
    kind: RadialKind = RadialKind.GAUSSIAN


RADIAL: Final = RadialSettings()
"""The radial part that a field has if nobody says otherwise."""


class GaussianBasis(nn.Module):
    """Gaussians of the distance, evenly spaced, as wide as their spacing.

    g_k(r) = exp(-((r - r_k) / w)^2 / 2),  r_k = r_min + k w,  k = 0 .. size - 1

    Args:
        size: Number of Gaussians.
        longest: Where the last one is centred [A].
    """

    def __init__(self, size: int, longest: float) -> None:
        super().__init__()
        self._centres = Constant(torch.linspace(SHORTEST_DISTANCE, longest, size, dtype=torch.float64))
        self.width = (longest - SHORTEST_DISTANCE) / (size - 1)

    def forward(self, distances: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs basis"]:
        """The values of all Gaussians at the distances [A]."""
        values = torch.exp(-0.5 * ((distances[..., None] - self._centres.like(distances)) / self.width) ** 2)
        # Far Gaussians would be denormal numbers, with which processors multiply a hundred times more slowly.
        return nn.functional.threshold(values, 1e-20, 0.0)


class BesselBasis(nn.Module):
    """Spherical Bessel functions of degree 0 with their zeros at the cutoff.

    g_n(r) = sqrt(2 / c) sin(n pi r / c) / r,  n = 1 .. size

    The waves of a free particle in a sphere of radius c, orthonormal there. They tell short distances apart better
    than long ones, as they fall off with 1 / r. Smooth at distance 0, where g_n is sqrt(2 / c) n pi / c.

    Args:
        size: Number of functions.
        cutoff: c [A].

    Reference:
        Gasteiger, Gross & Guennemann, Directional Message Passing for Molecular Graphs, ICLR 2020, arXiv:2003.03123;
        the cutoff's weight, which they multiply with here, is that of `RadialNetwork`.
    """

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        self._waves = Constant(torch.arange(1, size + 1, dtype=torch.float64) / cutoff)
        self._heights = Constant((2.0 / cutoff) ** 0.5 * torch.pi * torch.arange(1, size + 1).double() / cutoff)

    def forward(self, distances: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs basis"]:
        """The values of all functions at the distances [A]."""
        return self._heights.like(distances) * torch.sinc(distances[..., None] * self._waves.like(distances))


def _basis(settings: RadialSettings, cutoff: float) -> GaussianBasis | BesselBasis:
    match settings.kind:
        case RadialKind.GAUSSIAN:
            return GaussianBasis(settings.basis, cutoff)
        case RadialKind.BESSEL:
            return BesselBasis(settings.basis, cutoff)
        case _:
            assert_never(settings.kind)


def smooth_cutoff(distances: Float[Tensor, "*pairs"], cutoff: float) -> Float[Tensor, "*pairs"]:
    """A weight that falls from 1 at distance 0 to 0 at the cutoff, with two continuous derivatives there.

    u(x) = 1 - 10 x^3 + 15 x^4 - 6 x^5 for x = r / cutoff < 1, and 0 beyond
    """
    x = (distances / cutoff).clamp(max=1.0)
    return 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


class RadialNetwork(nn.Module):
    """The weight of each message channel of one layer, from the distance and the two elements of a pair.

    h = u(r) SiLU(W_1 g(r) + b[z_i, z_j]),  R(r, z_i, z_j) = W_2 h,  with the cutoff's u

    The element-pair table is the product of a one-hot encoding of the pair with a weight matrix, written as a look-up.

    Args:
        settings: Its size.
        species: Number of different elements.
        paths: Number of tensor-product paths that want weights.
        channels: Number of weights of each path.
    """

    def __init__(self, settings: RadialSettings, species: int, paths: int, channels: int) -> None:
        super().__init__()
        self.paths = paths
        self.inner = nn.Linear(settings.basis, settings.width, bias=False)
        self.pair = nn.Parameter(torch.randn(species * species, settings.width))
        self.outer = nn.Linear(settings.width, paths * channels, bias=False)
        nn.init.normal_(self.inner.weight)
        nn.init.normal_(self.outer.weight, std=(2.0 / settings.width) ** 0.5)

    def forward(
        self,
        basis: Float[Tensor, "*batch basis"],
        cutoff: Float[Tensor, "*batch 1"],
        pairs: Int[Tensor, "*elements"],
    ) -> list[Float[Tensor, "*batch channels"]]:
        """R of each path from g and u; `pairs` is the index of each pair's row in the element-pair table."""
        hidden = nn.functional.silu(self.inner(basis) + nn.functional.embedding(pairs, self.pair)) * cutoff
        return [nn.functional.linear(hidden, each) for each in self.outer.weight.chunk(self.paths)]


class RadialNetworks(nn.Module):
    """The radial networks of all layers, on one basis.

    Attributes:
        table: What is read instead of computing the networks, if anything; see `tabulate`.

    Args:
        settings: The size of each.
        cutoff: Where messages fade to nothing, and the basis ends [A].
        pairs: For each pair of atoms, the row of its two elements in the element-pair table.
        paths: Number of tensor-product paths of each layer.
        channels: Number of weights of each path.
    """

    pairs: Tensor
    table: RadialTable | None

    def __init__(
        self,
        settings: RadialSettings,
        cutoff: float,
        pairs: Int[Tensor, "atoms atoms"],
        paths: Sequence[int],
        channels: int,
    ) -> None:
        super().__init__()
        self.register_buffer("pairs", pairs, persistent=False)
        self.basis, self.cutoff, self.paths = _basis(settings, cutoff), cutoff, list(paths)
        species = round((int(pairs.max()) + 1) ** 0.5)
        for layer, count in enumerate(paths):
            self.add_module(str(layer), RadialNetwork(settings, species, count, channels))
        self.table = None
        self.register_load_state_dict_post_hook(_tabulate_anew)

    @property
    def networks(self) -> list[RadialNetwork]:
        """The network of each layer."""
        return [each for each in self.children() if isinstance(each, RadialNetwork)]

    def tabulate(self) -> None:
        """Read the weights of messages from a table from now on, until `train()` is called."""
        self.table = None
        exact = deepcopy(self).double()
        self.table = RadialTable(exact.sample, self.cutoff, self.pairs)

    @override
    def train(self, mode: bool = True) -> Self:
        if mode:
            self.table = None
        return super().train(mode)

    @torch.no_grad()
    def sample(self, distances: Float[Tensor, " knots"]) -> Float[Tensor, "paths pairs knots channels"]:
        """R of each path of all layers at the distances [A], for each pair of elements."""
        pairs = torch.arange(len(self.networks[0].pair), device=distances.device)
        basis = self.basis(distances)[:, None].expand(-1, len(pairs), -1)
        cutoff = smooth_cutoff(distances, self.cutoff)[:, None, None].expand(-1, len(pairs), -1)
        return torch.stack([each for network in self.networks for each in network(basis, cutoff, pairs)]).transpose(
            1, 2
        )

    def forward(
        self, distances: Float[Tensor, "batch atoms atoms"]
    ) -> list[list[Float[Tensor, "batch atoms 1 atoms channels"]]]:
        """R of each path of each layer at the distances [A] of all pairs of atoms."""
        if self.table is not None:
            found = iter(self.table(distances))
            return [list(islice(found, count)) for count in self.paths]
        between = distances.unsqueeze(2)
        basis, cutoff = self.basis(between), smooth_cutoff(between, self.cutoff).unsqueeze(-1)
        return [network(basis, cutoff, self.pairs.unsqueeze(1)) for network in self.networks]

    def layer(
        self,
        index: int,
        distances: Float[Tensor, "batch centres neighbours"],
        pairs: Int[Tensor, "batch centres neighbours"],
    ) -> list[Float[Tensor, "batch centres 1 neighbours channels"]]:
        """R of each path of one layer at the distances [A] of pairs, given by their rows in the element-pair table."""
        if self.table is not None:
            before = sum(self.paths[:index])
            return list(self.table.some(distances, pairs, slice(before, before + self.paths[index])))
        between = distances.unsqueeze(2)
        basis, cutoff = self.basis(between), smooth_cutoff(between, self.cutoff).unsqueeze(-1)
        return self.networks[index](basis, cutoff, pairs.unsqueeze(2))


def _tabulate_anew(networks: RadialNetworks, _keys: object) -> None:
    if networks.table is not None:
        networks.tabulate()
