"""The tensor product of neighbour features with spherical harmonics, summed over the neighbours of every atom.

The same sum as e3nn's `o3.TensorProduct` in mode "uvu" followed by a scatter, in a layout that suits all pairs of a
small molecule: Clebsch-Gordan coefficients folded with the geometry into one matrix that all layers share, neighbours
and channels last so that products run along memory, and the sum over neighbours and over m1 done by one batched matrix
product for each path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from e3nn import o3
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.fields.constant import Constant
from neuralmd.fields.geometry import harmonics_from_monomials

Features = list[Float[Tensor, "batch _ atoms channels"]]
"""Equivariant features by degree: entry l has 2l + 1 components and parity (-1)^l."""


@dataclass(frozen=True, order=True)
class TensorPath:
    """One way to couple features of degree `feature` with harmonics of degree `harmonic` to degree `output`."""

    feature: int
    harmonic: int
    output: int


def allowed_paths(feature_l_max: int, harmonic_l_max: int, output_l_max: int) -> tuple[TensorPath, ...]:
    """All paths between natural-parity irreps: |l1 - l2| <= l3 <= l1 + l2 with l1 + l2 + l3 even."""
    return tuple(
        TensorPath(l1, l2, l3)
        for l3 in range(output_l_max + 1)
        for l1 in range(feature_l_max + 1)
        for l2 in range(harmonic_l_max + 1)
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0
    )


class Coupling(nn.Module):
    """Fold the directions of all pairs with the spherical harmonics and Clebsch-Gordan coefficients of every path.

    G_ij[m3, m1] = sqrt(2 l3 + 1) sum_m2 C[m1, m2, m3] Y_l2,m2(u_ij) / sqrt(neighbours),  G_ii = 0

    The first factor is e3nn's normalisation of `irrep_normalization="component"`; the last keeps a sum over neighbours
    of order one.

    Args:
        paths: What is wanted.
        neighbours: How many an atom has, about.
        degree: Of the monomials of `PairGeometry`.
    """

    def __init__(self, paths: Sequence[TensorPath], neighbours: float, degree: int) -> None:
        super().__init__()
        self.paths, self.neighbours = tuple(paths), neighbours
        harmonics = harmonics_from_monomials(max(path.harmonic for path in self.paths), degree) / neighbours**0.5
        self._coefficients = Constant(torch.cat([_coefficients(path, harmonics) for path in self.paths]))

    def forward(
        self, directions: Float[Tensor, "batch centres monomials neighbours"]
    ) -> dict[TensorPath, Float[Tensor, "all_centres _ _"]]:
        """G of each path, m3 by (m1, neighbour) for every centre of the batch, as the matrix product wants it."""
        coefficients, by_centre = self._coefficients.like(directions), directions.flatten(0, 1)
        folded = torch.bmm(coefficients.expand(len(by_centre), -1, -1), by_centre)
        parts = folded.split([_rows(path) * (2 * path.feature + 1) for path in self.paths], dim=1)
        return {
            path: part.reshape(len(by_centre), _rows(path), -1) for path, part in zip(self.paths, parts, strict=True)
        }


def _rows(path: TensorPath) -> int:
    """Rows m3 of G; a scalar gets a second one, of zeros, since a product with one row is several times slower."""
    return max(2 * path.output + 1, 2)


def _coefficients(path: TensorPath, harmonics: Float[Tensor, "harmonics monomials"]) -> Float[Tensor, "_ monomials"]:
    """One path's rows of the matrix from monomials to G."""
    wigner = o3.wigner_3j(path.feature, path.harmonic, path.output, dtype=torch.float64)
    of_degree = harmonics[path.harmonic**2 : (path.harmonic + 1) ** 2]
    folded = torch.einsum("abc,bk->cak", wigner, of_degree) * (2 * path.output + 1) ** 0.5
    rows = torch.cat((folded, folded.new_zeros(_rows(path) - len(folded), *folded.shape[1:])))
    return rows.flatten(0, 1)


def aggregate(
    coupling: Float[Tensor, "centres rows _"],
    weights: Float[Tensor, "batch atoms 1 neighbours channels"],
    seen: Float[Tensor, "batch _ m1 neighbours channels"],
) -> Float[Tensor, "centres rows channels"]:
    """Sum one path's messages over the neighbours of each atom.

    A_i[m3, c] = sum_j sum_m1 G_ij[m3, m1] R_ij[c] x_j[m1, c]

    Args:
        coupling: G of each atom.
        weights: R.
        seen: x_j, for each atom the features of its neighbours; the same for all where every atom sees the same.
    """
    weighted = weights * seen
    return torch.bmm(coupling, weighted.reshape(len(coupling), -1, weighted.shape[-1]))
