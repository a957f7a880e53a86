"""What a message knows of a distance: a Gaussian basis, a smooth cutoff and a small network on top of both."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuralmd.fields.constant import Constant

SHORTEST_DISTANCE = 0.7
"""Where the basis begins [A]: no bond is shorter (H-H is 0.74 A)."""


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
        return torch.exp(-0.5 * ((distances[..., None] - self._centres.like(distances)) / self.width) ** 2)


def smooth_cutoff(distances: Float[Tensor, "*pairs"], cutoff: float) -> Float[Tensor, "*pairs"]:
    """A weight that falls from 1 at distance 0 to 0 at the cutoff, with two continuous derivatives there.

    u(x) = 1 - 10 x^3 + 15 x^4 - 6 x^5 for x = r / cutoff < 1, and 0 beyond
    """
    x = (distances / cutoff).clamp(max=1.0)
    return 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


class RadialNetwork(nn.Module):
    """The weight of each message channel, from the distance and the two elements of a pair.

    h = SiLU(W_1 g(r) + b[z_i, z_j]),  R(r, z_i, z_j) = W_2 h

    The element-pair table is the product of a one-hot encoding of the pair with a weight matrix, written as a look-up.

    Args:
        basis: Number of radial functions that come in.
        species: Number of different elements.
        width: Hidden width.
        channels: Number of weights that go out.
    """

    def __init__(self, basis: int, species: int, width: int, channels: int) -> None:
        super().__init__()
        self.inner = nn.Linear(basis, width, bias=False)
        self.pair = nn.Parameter(torch.randn(species * species, width))
        self.outer = nn.Linear(width, channels, bias=False)
        nn.init.normal_(self.inner.weight)
        nn.init.normal_(self.outer.weight, std=(2.0 / width) ** 0.5)

    def forward(
        self, basis: Float[Tensor, "batch atoms atoms basis"], pairs: Int[Tensor, "atoms atoms"]
    ) -> Float[Tensor, "batch atoms atoms channels"]:
        """The weights; `pairs` is the index of each pair's row in the element-pair table."""
        return self.outer(nn.functional.silu(self.inner(basis) + self.pair[pairs]))
