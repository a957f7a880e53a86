"""`ManyBody`: products of what an atom is told, so that a layer sees angles between neighbours and not pairs only."""

from __future__ import annotations

import torch
from e3nn import o3
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.fields.constant import Constant
from neuralmd.fields.tensor_product import Features, TensorPath, allowed_paths


class ManyBody(nn.Module):
    """Powers of the messages, channel by channel, and a linear mix of each: features of several neighbours at once.

    B_l = sum_n A^(n)_l / sqrt(correlation),   A^(1) = A,
    A^(n)_l3 = sum_(l1, l2) [ A^(n-1)_l1 (x) A_l2 ]_l3 M^(n)_(l1 l2 l3),   n = 2 .. correlation

    where (x) couples two features of the same channel by Clebsch-Gordan coefficients, and each M mixes the channels. A
    sum over neighbours to the n-th power is a sum over all n-tuples of neighbours, at the cost of one for each atom.

    Args:
        channels: Features of each degree.
        l_max: Highest degree of the messages.
        l_out: Highest degree of the result.
        correlation: The highest power.

    Reference:
        Batatia et al., MACE: higher order equivariant message passing neural networks for fast and accurate force
        fields, NeurIPS (2022), arXiv:2206.07697; Drautz, Phys. Rev. B 99, 014104 (2019).
    """

    def __init__(self, channels: int, l_max: int, l_out: int, correlation: int) -> None:
        super().__init__()
        self.l_out, self.correlation = l_out, correlation
        highest = [l_max] * (correlation - 2) + [l_out]
        self.powers = nn.ModuleList(
            Product(channels, l_max, last, symmetric=index == 0) for index, last in enumerate(highest)
        )

    def products(self) -> list[Product]:
        """What makes each power from the one before it and the messages."""
        return [each for each in self.powers if isinstance(each, Product)]

    def forward(self, messages: Features) -> Features:
        """The many-body features of each atom, from what it is told."""
        power, total = messages, list(messages[: self.l_out + 1])
        for product in self.powers:
            power = product(power, messages)
            total = [each + more for each, more in zip(total, power, strict=False)]
        return [each / self.correlation**0.5 for each in total]


class Product(nn.Module):
    """Two sets of features, coupled channel by channel, and mixed.

    Args:
        channels: Features of each degree.
        l_max: Highest degree of both sets.
        l_out: Highest degree of the result.
        symmetric: Whether both sets are the same, of which (l1, l2) and (l2, l1) make the same product.
    """

    def __init__(self, channels: int, l_max: int, l_out: int, *, symmetric: bool) -> None:
        super().__init__()
        self.l_max = l_max
        every = allowed_paths(l_max, l_max, l_out)
        self.paths = tuple(path for path in every if not symmetric or path.feature <= path.harmonic)
        self._coefficients = Constant(torch.cat([coupling_of_features(path, l_max) for path in self.paths]))
        self._fan_in = [sum(path.output == degree for path in self.paths) for degree in range(l_out + 1)]
        self.mix = nn.ParameterList(
            nn.Parameter(torch.randn(count * channels, channels) / (count * channels) ** 0.5) for count in self._fan_in
        )

    def forward(self, first: Features, second: Features) -> Features:
        """The mixed products, by degree."""
        one = _components_first(first)
        other = one if second is first else _components_first(second)
        # Every component with every other, so that one matrix product makes all couplings.
        pairs = (one.unsqueeze(1) * other.unsqueeze(0)).flatten(0, 1)
        coupled = self._coefficients.like(pairs) @ pairs.flatten(1)
        rows = [count * (2 * degree + 1) for degree, count in enumerate(self._fan_in)]
        return [
            (part.view(count, -1, *one.shape[1:]).permute(2, 1, 3, 0, 4).flatten(3)) @ mix
            for count, part, mix in zip(self._fan_in, coupled.split(rows), self.mix, strict=True)
        ]


def _components_first(features: Features) -> Float[Tensor, "components batch atoms channels"]:
    """All components one below the other."""
    return torch.cat([each.transpose(0, 1) for each in features])


def coupling_of_features(path: TensorPath, l_max: int) -> Float[Tensor, "rows pairs"]:
    """Clebsch-Gordan coefficients of a path: m3 by every pair of components of two sets of features up to a degree.

    They are those for components of order one, e3nn's "component" normalisation.
    """
    wigner = o3.wigner_3j(path.feature, path.harmonic, path.output, dtype=torch.float64)
    components = (l_max + 1) ** 2
    among_all = wigner.new_zeros(2 * path.output + 1, components, components)
    first, second = (slice(degree**2, (degree + 1) ** 2) for degree in (path.feature, path.harmonic))
    among_all[:, first, second] = wigner.permute(2, 0, 1) * (2 * path.output + 1) ** 0.5
    return among_all.flatten(1)
