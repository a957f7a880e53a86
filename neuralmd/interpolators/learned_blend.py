"""`LearnedBlend`: a lambda of its own for each element and each length of gap, fitted when the training ends."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.interpolators.blending import Blend, PowerBlend
from neuralmd.system import System

DEGREE: Final = 20
"""Of the polynomials; the slope of one is at most 3.5, that of the power blend with exponent 3 is 3 in the middle."""

UNFITTED: Final = PowerBlend(3.0)
"""What stands in for a lambda that was not fitted."""

_SAME_GAP: Final = 1e-3
"""Part of a gap by which it may differ from one that was fitted."""


class LearnedBlend(nn.Module, Blend):
    """lambda_e(s) = sum_k b_k B_k(s),  B_k(s) = (20 over k) s^k (1 - s)^(20 - k),  k = 0 .. 20, for each element e.

    0 = b_0 = b_1 <= b_2 <= ... <= b_18 <= b_19 = b_20 = 1. A polynomial in Bernstein's form rises where its
    coefficients do, and the first and last two of them are its values and slopes at the ends. So lambda is smooth and
    never falls, and its slope is zero at both anchors, where the path then has no seam. It need not treat both alike.

    Gaps that it was not fitted for have the power blend with exponent 3; so has who asks for one lambda of all atoms.

    Args:
        system: The molecule.
        gaps: Lengths of the gaps that it will be fitted for [fs].

    Reference:
        R. T. Farouki, The Bernstein polynomial basis: a centennial retrospective, Comput. Aided Geom. Des. 29, 379
        (2012), doi:10.1016/j.cagd.2012.03.001.
    """

    gaps: Tensor
    coefficients: Tensor
    ready: Tensor
    species: Tensor

    def __init__(self, system: System, gaps: Sequence[float]) -> None:
        super().__init__()
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.float64))
        self.register_buffer("coefficients", torch.zeros(len(gaps), len(elements), DEGREE + 1))
        self.register_buffer("ready", torch.zeros(len(gaps), dtype=torch.bool))
        self.register_buffer("species", torch.as_tensor(species), persistent=False)

    def extra_repr(self) -> str:
        """The gaps that it is for; see `torch.nn.Module.extra_repr`."""
        return f"gaps of {', '.join(f'{gap:.4g}' for gap in self.gaps.tolist())} fs"

    def fitted(self, gap: float) -> int | None:
        """Index of the coefficients for gaps of this length [fs]; none if there are none."""
        close = torch.nonzero(((self.gaps - gap).abs() < _SAME_GAP * gap) & self.ready).flatten().tolist()
        return close[0] if close else None

    @override
    def remarks(self, gap: float) -> list[str]:
        if self.fitted(gap) is not None:
            return []
        known = ", ".join(f"{fitted:.4g}" for fitted in self.gaps[self.ready].tolist()) or "no"
        return [f"lambda was learned for gaps of {known} fs; these of {gap:.4g} fs get the power blend"]

    @override
    def weight(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        return UNFITTED.weight(s)

    @override
    def rate(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        return UNFITTED.rate(s)

    @override
    def of_atoms(
        self, s: Float[Tensor, " time"], gap: float
    ) -> tuple[Float[Tensor, "time ..."], Float[Tensor, "time ..."]]:
        index = self.fitted(gap)
        if index is None:
            return super().of_atoms(s, gap)
        coefficients = self.coefficients[index].to(s)
        weights = bernstein(s, DEGREE) @ coefficients.T
        rates = bernstein(s, DEGREE - 1) @ (DEGREE / gap * coefficients.diff()).T
        return weights[:, self.species], rates[:, self.species]


def bernstein(s: Float[Tensor, " time"], degree: int) -> Float[Tensor, "time k"]:
    """(n over k) s^k (1 - s)^(n - k) for k = 0 .. n."""
    k = torch.arange(degree + 1, device=s.device)
    ways = torch.tensor([comb(degree, each) for each in range(degree + 1)]).to(s)
    return ways * s[:, None] ** k * (1 - s[:, None]) ** (degree - k)
