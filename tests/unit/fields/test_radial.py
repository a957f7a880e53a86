"""The functions of a distance that messages are made of."""

from __future__ import annotations

import pytest
import torch

from neuralmd.build.fields import field as built
from neuralmd.config import ConservativeFieldConfig, EquivariantFieldConfig
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.network import MessageSettings
from neuralmd.fields.radial import BesselBasis, GaussianBasis, RadialKind, RadialSettings
from neuralmd.system import PhaseState, System

CUTOFF = 5.0
WATER = System.from_atomic_numbers([8, 1, 1])


def test_bessel_functions_are_orthonormal_in_the_sphere_and_end_at_the_cutoff() -> None:
    """integral of g_m g_n r^2 dr from 0 to c is 1 for m = n and 0 else."""
    basis = BesselBasis(6, CUTOFF)
    r = torch.linspace(0.0, CUTOFF, 4001, dtype=torch.float64)
    values = basis(r)
    overlap = torch.trapezoid(values[:, :, None] * values[:, None, :] * r[:, None, None] ** 2, r, dim=0)
    torch.testing.assert_close(overlap, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-6)
    assert float(values[-1].abs().max()) < 1e-12
    torch.testing.assert_close(
        values[1:], (2 / CUTOFF) ** 0.5 * torch.sin(torch.pi / CUTOFF * r[1:, None] * torch.arange(1, 7)) / r[1:, None]
    )


@pytest.mark.parametrize(
    "basis", [BesselBasis(8, CUTOFF), GaussianBasis(8, CUTOFF)], ids=lambda one: type(one).__name__
)
def test_both_bases_have_two_derivatives_and_are_finite_at_distance_zero(basis: torch.nn.Module) -> None:
    r = torch.tensor([0.01, 0.7, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(basis, (r,))
    assert torch.autograd.gradgradcheck(basis, (r,))
    assert bool(basis(torch.zeros(1, dtype=torch.float64)).isfinite().all())
    assert basis(r.detach().float()).dtype == torch.float32


def state() -> PhaseState:
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]], dtype=torch.float64)
    noise = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    return PhaseState(corners + 0.1 * noise[0], 0.02 * noise[1])


def test_an_energy_on_bessel_functions_can_be_trained() -> None:
    """Forces are its derivatives, and training differentiates them once more."""
    torch.manual_seed(0)
    field = ConservativeField(WATER, 4, 1, 1, CUTOFF, MessageSettings(RadialSettings(kind=RadialKind.BESSEL))).double()
    positions = state().positions.requires_grad_()
    slopes = torch.autograd.grad(field.energy(positions).sum(), positions)[0]
    at = PhaseState(positions.detach(), state().velocities)
    ratio = field(at) / slopes.detach()
    torch.testing.assert_close(ratio, ratio[:1, :, :1].expand_as(ratio))
    field(at).square().sum().backward()
    assert all(weight.grad is not None and bool(weight.grad.isfinite().all()) for weight in field.parameters())


def test_the_list_of_neighbours_gives_what_all_pairs_give() -> None:
    torch.manual_seed(0)
    field = EquivariantField(
        WATER, 4, messages=MessageSettings(RadialSettings(kind=RadialKind.BESSEL)), cutoff=CUTOFF
    ).double()
    expected = field(state())
    field.network.use("list")
    torch.testing.assert_close(field(state()), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("config", [EquivariantFieldConfig, ConservativeFieldConfig])
def test_the_setting_chooses_the_basis(config: type[EquivariantFieldConfig | ConservativeFieldConfig]) -> None:
    bases = [
        built(config(channels=4, layers=1, **choice), WATER).network.radials.basis
        for choice in ({}, {"radial_kind": "bessel"})
    ]
    assert [type(basis) for basis in bases] == [GaussianBasis, BesselBasis]
