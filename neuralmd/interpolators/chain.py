"""Least squares on a chain: block-tridiagonal normal equations, solved from one end to the other and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.errors import SolverError


@dataclass(frozen=True, eq=False)
class Normal:
    """Normal equations of a chain of unknowns, each coupled to the next: A u = b, A symmetric positive definite.

    Attributes:
        diagonal: A_jj.
        upper: A_j,j+1, one fewer than there are unknowns.
        right: b_j.
    """

    diagonal: Float[Tensor, "links size size"]
    upper: Float[Tensor, "couplings size size"]
    right: Float[Tensor, "links size"]


def solve_chain(equations: Normal) -> tuple[Float[Tensor, "links size"], Float[Tensor, "links size size"]]:
    """The solution u = A^-1 b, and the diagonal blocks of A^-1, the covariance of each link.

    S_j = A_jj - A_j-1,j^T S_j-1^-1 A_j-1,j
    (A^-1)_jj = S_j^-1 + G_j (A^-1)_j+1,j+1 G_j^T,  G_j = S_j^-1 A_j,j+1

    The block Thomas algorithm, which is the Kalman smoother in its information form.

    Raises:
        SolverError: If A is not positive definite.

    Reference:
        Bell, SIAM J. Optim. 4 (1994) 626, doi 10.1137/0804035.
    """
    factors, reduced, gains = [], [], []
    links = len(equations.diagonal)
    block, right = equations.diagonal[0], equations.right[0]
    for j in range(links):
        factor, failure = torch.linalg.cholesky_ex(block)
        if int(failure):
            raise SolverError(
                f"the equations for the velocities have no solution at frame {j}: check the field, or take shorter gaps"
            )
        factors.append(factor)
        reduced.append(torch.cholesky_solve(right[:, None], factors[j])[:, 0])
        if j + 1 < links:
            coupling = equations.upper[j]
            gains.append(torch.cholesky_solve(coupling, factors[j]))
            block = equations.diagonal[j + 1] - coupling.mT @ gains[j]
            right = equations.right[j + 1] - coupling.mT @ reduced[j]
    solution, covariance = [reduced[-1]], [torch.cholesky_inverse(factors[-1])]
    for j in range(links - 2, -1, -1):
        solution.append(reduced[j] - gains[j] @ solution[-1])
        covariance.append(torch.cholesky_inverse(factors[j]) + gains[j] @ covariance[-1] @ gains[j].mT)
    return torch.stack(solution[::-1]), torch.stack(covariance[::-1])
