"""The tensor product of neighbour features with spherical harmonics, summed over the neighbours of every atom.

The same sum as e3nn's `o3.TensorProduct` in mode "uvu" followed by a scatter, in a layout that suits all pairs of a
small molecule: channels last, Clebsch-Gordan coefficients folded into one matrix of the geometry that all layers share,
and the sum over neighbours and over m1 done by one batched matrix product for each path.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from e3nn import o3
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.fields.constant import Constant

Features = list[Float[Tensor, "batch atoms _ channels"]]
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
    """Fold the spherical harmonics of all pairs with the Clebsch-Gordan coefficients of one path.

    G_ij[m3, m1] = sqrt(2 l3 + 1) sum_m2 C[m1, m2, m3] Y_l2,m2(r_ij)

    The factor is e3nn's normalisation of `irrep_normalization="component"`.
    """

    coefficients: Tensor

    def __init__(self, path: TensorPath) -> None:
        super().__init__()
        self.path = path
        wigner = o3.wigner_3j(path.feature, path.harmonic, path.output, dtype=torch.float64)
        scaled = wigner * (2 * path.output + 1) ** 0.5
        self._coefficients = Constant(scaled.permute(1, 2, 0))

    def forward(self, harmonics: Float[Tensor, "batch atoms atoms m2"]) -> Float[Tensor, "centres m3 neighbours"]:
        """G for every centre; its last dimension runs over (neighbour, m1) as the matrix product wants it."""
        batch, atoms = harmonics.shape[:2]
        coefficients = self._coefficients.like(harmonics)
        m2, m3, m1 = coefficients.shape
        folded = harmonics @ coefficients.reshape(m2, m3 * m1)
        by_centre = folded.reshape(batch * atoms, atoms, m3, m1).transpose(1, 2)
        return by_centre.reshape(batch * atoms, m3, atoms * m1)


def aggregate(
    coupling: Float[Tensor, "centres m3 neighbours"],
    weights: Float[Tensor, "batch atoms atoms channels"],
    features: Float[Tensor, "batch atoms m1 channels"],
) -> Float[Tensor, "batch atoms m3 channels"]:
    """Sum one path's messages over the neighbours of each atom.

    A_i[m3, c] = sum_j sum_m1 G_ij[m3, m1] R_ij[c] x_j[m1, c]
    """
    batch, atoms, m1, channels = features.shape
    weighted = weights[:, :, :, None, :] * features[:, None]
    summed = torch.bmm(coupling, weighted.reshape(batch * atoms, atoms * m1, channels))
    return summed.reshape(batch, atoms, -1, channels)
