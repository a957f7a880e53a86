"""Where the other atoms are: distances, and the products of directions that all spherical harmonics are made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from e3nn import o3
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.fields.constant import Constant
from neuralmd.system import Positions


def monomials(
    directions: Float[Tensor, "*pairs 3 neighbours"], degree: int
) -> Float[Tensor, "*pairs monomials neighbours"]:
    """All products of `degree - 1` and of `degree` components of a vector.

    q = (u_a u_b .. u_y, u_a u_b .. u_z)

    On the unit sphere, where x^2 + y^2 + z^2 = 1, they span all polynomials up to that degree. Products that differ in
    their order only are all there, since an outer product makes them at once.
    """
    lower, upper = directions[..., :0, :], directions
    for _ in range(degree - 1):
        products = directions.unsqueeze(-2) * upper.unsqueeze(-3)
        lower, upper = upper, products.flatten(-3, -2)
    return torch.cat((lower, upper), dim=-2)


def harmonics_from_monomials(l_max: int, degree: int) -> Float[Tensor, "harmonics monomials"]:
    """The matrix that turns `monomials` of unit vectors into e3nn's spherical harmonics of degrees 0 .. `l_max`.

    Y_lm(u) = sum_k M[lm, k] q_k(u), in e3nn's component normalisation
    """
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 8 * (degree + 1) ** 2, dtype=torch.float64, generator=generator)
    points = points / points.norm(dim=0)
    harmonics = o3.spherical_harmonics(list(range(l_max + 1)), points.T, normalize=True, normalization="component")
    return (torch.linalg.pinv(monomials(points, degree).T) @ harmonics).T


@dataclass(frozen=True, eq=False)
class Pairs:
    """Atoms as seen from other atoms.

    Attributes:
        distances: r_ij [A]; 1 for an atom and itself.
        directions: `monomials` of (x_j - x_i) / r_ij; zero for an atom and itself.
    """

    distances: Float[Tensor, "batch centres neighbours"]
    directions: Float[Tensor, "batch centres monomials neighbours"]


class PairGeometry(nn.Module):
    """Distances and directions of all pairs of a molecule.

    q_ij = monomials(u_ij),  u_ij = (x_j - x_i) / r_ij

    Args:
        atoms: Number of atoms.
        degree: Of the monomials; at least 2, so that none is a constant, which would not vanish with u.
    """

    def __init__(self, atoms: int, degree: int) -> None:
        super().__init__()
        self.degree = degree
        self._itself = Constant(torch.eye(atoms, dtype=torch.float64))

    def forward(self, positions: Positions) -> Pairs:
        """The pairs of each configuration."""
        separations = positions.transpose(1, 2).unsqueeze(1) - positions.unsqueeze(3)
        # An atom is put at distance 1 from itself, since a root has no derivatives at zero.
        distances = (separations.square().sum(2) + self._itself.like(positions)).sqrt()
        return Pairs(distances, monomials(separations / distances.unsqueeze(2), self.degree))
