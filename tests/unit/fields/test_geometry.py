"""Distances, directions, and the spherical harmonics that are made of them."""

from __future__ import annotations

import pytest
import torch
from e3nn import o3

from neuralmd.fields.geometry import PairGeometry, harmonics_from_monomials, monomials
from neuralmd.fields.radial import smooth_cutoff


@pytest.mark.parametrize(("l_max", "degree"), [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_monomials_make_the_harmonics_of_e3nn(l_max: int, degree: int) -> None:
    torch.manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(5, 3, 7, dtype=torch.float64), dim=1)
    found = harmonics_from_monomials(l_max, degree) @ monomials(directions, degree)
    expected = o3.spherical_harmonics(
        list(range(l_max + 1)), directions.transpose(1, 2), normalize=True, normalization="component"
    ).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_pairs_point_from_the_centre_to_its_neighbour_and_nowhere_from_an_atom_to_itself() -> None:
    positions = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 3.0, 4.0], [2.0, 0.0, 0.0]]], dtype=torch.float64)
    pairs = PairGeometry(3, degree=2)(positions)
    assert pairs.distances[0, 0].tolist() == [1.0, 5.0, 2.0]
    products = [0, 0, 0, 0, 0.36, 0.48, 0, 0.48, 0.64]
    assert pairs.directions[0, 0, :, 1].tolist() == pytest.approx([0, 0.6, 0.8, *products])
    assert pairs.directions[0, 1, :, 0].tolist() == pytest.approx([0, -0.6, -0.8, *products])
    assert not pairs.directions[0, range(3), :, range(3)].any()


def test_the_cutoff_and_two_derivatives_vanish_at_its_end() -> None:
    distances = torch.tensor([0.0, 2.5, 5.0, 7.0], dtype=torch.float64, requires_grad=True)
    weights = smooth_cutoff(distances, 5.0)
    (first,) = torch.autograd.grad(weights.sum(), distances, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), distances)
    for values, at_zero in ((weights, 1.0), (first, 0.0), (second, 0.0)):
        assert values[0].item() == pytest.approx(at_zero)
        assert values[2:].detach().abs().max() < 1e-12
    assert 0.4 < weights[1].item() < 0.6
