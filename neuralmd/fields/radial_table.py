"""Radial functions as a table: cubic splines of the distance."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuralmd.fields.constant import Constant

_TOLERANCE = 2e-7
"""Largest error midway between two knots, as a part of the largest value in the table."""

_SPACING = 0.04
"""The widest spacing of the knots [A]."""

_LEAST_SPACING = 1e-3
"""The narrowest, whatever the tolerance [A]."""

_REACH = 30
"""Knots beyond either end that a coefficient feels: (2 - sqrt 3)^30 is below the rounding error of float64."""

_TAIL = 8
"""Knots beyond the cutoff that the splines take to end in."""

_POLYNOMIALS: Final = torch.tensor(
    [[1.0, 4.0, 1.0, 0.0], [-3.0, 0.0, 3.0, 0.0], [3.0, -6.0, 3.0, 0.0], [-1.0, 3.0, -3.0, 1.0]], dtype=torch.float64
)
"""Six times the four B-splines that an interval feels, as polynomials of the place in it, from 0 to 1."""


Sample = Callable[[Float[Tensor, " knots"]], Float[Tensor, "paths pairs knots channels"]]
"""Gives the values of all radial functions at some distances [A], for each pair of elements; they may be negative."""


class RadialTable(nn.Module):
    """Radial functions as cubic splines on one uniform grid from distance 0 to the cutoff.

    R(r) = sum_n c_n B(r / h - n),  with a spacing h that meets a tolerance

    Four coefficients of each channel are read and added, where a network multiplies by two matrices. A few knots beyond
    the cutoff, everything is exactly zero. A distance that is not a number gives what is not a number. Can be
    differentiated once.

    Args:
        sample: The functions, in double precision; zero from the cutoff on.
        cutoff: Where the functions end [A].
        pairs: For each pair of atoms, the index of its two elements.
    """

    rows: Tensor
    starts: Tensor

    def __init__(self, sample: Sample, cutoff: float, pairs: Int[Tensor, "atoms atoms"]) -> None:
        super().__init__()
        self.spacing, coefficients = _fit(sample, cutoff, pairs.device)
        functions, elements, self.knots, _ = coefficients.shape
        self._coefficients = Constant(coefficients.flatten(0, 2))
        self._polynomials = Constant(_POLYNOMIALS / 6.0)
        rows = (pairs * self.knots)[..., None] + torch.arange(4, device=pairs.device)
        starts = torch.arange(functions, device=pairs.device)[:, None] * (elements * self.knots)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("starts", starts, persistent=False)

    def forward(
        self, distances: Float[Tensor, "batch atoms atoms"]
    ) -> tuple[Float[Tensor, "batch atoms 1 atoms channels"], ...]:
        """R of each path at the distances [A] of all pairs of atoms."""
        return self._read(distances, self.rows, self.starts).unbind(0)

    def some(
        self,
        distances: Float[Tensor, "batch centres neighbours"],
        pairs: Int[Tensor, "batch centres neighbours"],
        paths: slice,
    ) -> tuple[Float[Tensor, "batch centres 1 neighbours channels"], ...]:
        """R of some of the paths at the distances [A] of other pairs, given by the index of their two elements."""
        rows = (pairs * self.knots)[..., None] + torch.arange(4, device=pairs.device)
        return self._read(distances, rows, self.starts[paths]).unbind(0)

    def coefficients(self) -> Float[Tensor, "rows paths channels"]:
        """c_n of all paths side by side, in double precision: a row for each pair of elements and each knot."""
        exact = self._coefficients.like(torch.zeros((), dtype=torch.float64))
        return exact.unflatten(0, (len(self.starts), -1)).transpose(0, 1).contiguous()

    def polynomials(self) -> Float[Tensor, "powers 4"]:
        """The weights of the four coefficients of an interval, as polynomials of the place in it."""
        return self._polynomials.like(torch.zeros((), dtype=torch.float64))

    def _read(
        self,
        distances: Float[Tensor, "batch centres neighbours"],
        rows: Int[Tensor, "... centres neighbours 4"],
        starts: Int[Tensor, "paths 1"],
    ) -> Float[Tensor, "paths batch centres 1 neighbours channels"]:
        along = (distances * (1.0 / self.spacing)).clamp(max=self.knots - 4)
        # What is not a number becomes some integer: keep it inside the table.
        interval = along.detach().long().clamp(0, self.knots - 4)
        place = along - interval
        square = place * place
        powers = torch.stack((torch.ones_like(place), place, square, square * place), dim=-1)
        weights = (powers @ self._polynomials.like(distances)).flatten().expand(len(starts), -1)
        found = nn.functional.embedding_bag(
            ((interval.unsqueeze(-1) + rows).flatten() + starts).view(-1, 4),
            self._coefficients.like(distances),
            mode="sum",
            per_sample_weights=weights.reshape(-1, 4),
        )
        return found.view(-1, *distances.shape[:2], 1, distances.shape[2], found.shape[-1])


def _fit(
    sample: Sample, cutoff: float, device: torch.device
) -> tuple[float, Float[Tensor, "paths pairs knots channels"]]:
    """The spacing of a grid that meets the tolerance [A], and the coefficients on it."""
    spacing = _SPACING
    while True:
        intervals = ceil(cutoff / spacing)
        spacing = cutoff / intervals
        knots = torch.arange(-1 - _REACH, intervals + 2 + _REACH + _REACH, dtype=torch.float64, device=device)
        coefficients = _coefficients(sample(knots * spacing))
        between = torch.arange(intervals, dtype=torch.float64, device=device) + 0.5
        truth = sample(between * spacing)
        error = float((_midway(coefficients)[:, :, :intervals] - truth).abs().max())
        allowed = _TOLERANCE * float(truth.abs().max())
        if not error > allowed or spacing <= _LEAST_SPACING:
            # A spline's tail beyond the cutoff is below the tolerance, but would never end.
            coefficients[:, :, intervals + 1 + _TAIL :] = 0.0
            return spacing, coefficients[:, :, : intervals + 5 + _TAIL].contiguous()
        # The error goes with the fourth power of the spacing.
        spacing = max(0.95 * spacing * (allowed / error) ** 0.25, _LEAST_SPACING)


def _coefficients(
    values: Float[Tensor, "paths pairs _ channels"],
) -> Float[Tensor, "paths pairs knots channels"]:
    """The coefficients of the splines that meet the values at all knots but the `_REACH` outermost at either end.

    c_n = sqrt 3 sum_k (sqrt 3 - 2)^|n - k| R(k h)

    Reference:
        Unser, Aldroubi & Eden, B-spline signal processing, IEEE Trans. Signal Process. 41, 821 (1993).
    """
    knots = torch.arange(values.shape[2], dtype=values.dtype, device=values.device)
    kernel = 3.0**0.5 * (3.0**0.5 - 2.0) ** (knots[_REACH:-_REACH, None] - knots).abs()
    return kernel @ values


def _midway(
    coefficients: Float[Tensor, "paths pairs knots channels"],
) -> Float[Tensor, "paths pairs intervals channels"]:
    """The splines midway between two knots."""
    outer = coefficients[:, :, :-3] + coefficients[:, :, 3:]
    inner = coefficients[:, :, 1:-2] + coefficients[:, :, 2:-1]
    return (outer + 23.0 * inner) / 48.0
