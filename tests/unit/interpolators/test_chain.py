"""Chains of unknowns: the same as the dense solution and the dense inverse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralmd.errors import SolverError
from neuralmd.interpolators.chain import Normal, solve_chain


def random_chain(links: int, size: int, seed: int) -> tuple[Normal, torch.Tensor]:
    """A chain, and the same as one matrix."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.zeros(links * size, links * size, dtype=torch.float64)
    for j in range(links - 1):
        rows = torch.randn((size, 2 * size), generator=generator, dtype=torch.float64)
        at = slice(j * size, (j + 2) * size)
        dense[at, at] += rows.T @ rows
    dense += 0.1 * torch.eye(len(dense), dtype=torch.float64)
    blocks = dense.reshape(links, size, links, size).transpose(1, 2)
    index = torch.arange(links)
    right = torch.randn((links, size), generator=generator, dtype=torch.float64)
    return Normal(blocks[index, index], blocks[index[:-1], index[1:]], right), dense


@settings(deadline=None)
@given(links=st.integers(1, 6), size=st.integers(1, 4), seed=st.integers(0, 2**20))
def test_it_is_the_dense_solution_with_the_blocks_of_the_dense_inverse(links, size, seed):
    equations, dense = random_chain(links, size, seed)
    solution, covariance = solve_chain(equations)
    torch.testing.assert_close(solution.flatten(), torch.linalg.solve(dense, equations.right.flatten()))
    inverse = torch.linalg.inv(dense).reshape(links, size, links, size)
    for j in range(links):
        torch.testing.assert_close(covariance[j], inverse[j, :, j])


def test_equations_without_a_minimum_are_refused():
    equations, _ = random_chain(3, 2, 0)
    with pytest.raises(SolverError, match="at frame 0"):
        solve_chain(Normal(-equations.diagonal, equations.upper, equations.right))
