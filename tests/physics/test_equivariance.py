"""Symmetries of the fields and models that claim them, and the e3nn modules that the fast network must equal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from benchmarks.plain_e3nn import PlainE3NN
from e3nn import o3
from torch import Tensor

from neuralmd.data.anchors import Anchors
from neuralmd.fields.base import Field
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.network import MessageSettings
from neuralmd.fields.velocity_dependent import VelocityDependentField
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import PhaseState, System

ETHANOL = [6, 6, 8, 1, 1, 1, 1, 1, 1]
PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


def molecule(numbers: list[int], batch: int, dtype: torch.dtype) -> PhaseState:
    """Atoms on a loose grid, so that none come close to each other."""
    generator = torch.Generator().manual_seed(3)
    grid = torch.cartesian_prod(torch.arange(3.0), torch.arange(2.0), torch.arange(2.0))[: len(numbers)] * 1.3
    noise = torch.randn((2, batch, len(numbers), 3), generator=generator, dtype=torch.float64)
    return PhaseState((grid + 0.15 * noise[0]).to(dtype), (0.02 * noise[1]).to(dtype))


def equivariant_field(dtype: torch.dtype, l_max: int = 2, layers: int = 2, cutoff: float = 6.0) -> EquivariantField:
    torch.manual_seed(1)
    field = EquivariantField(System.from_atomic_numbers(ETHANOL), 8, l_max, layers, cutoff)
    field.readout.scale.copy_(torch.linspace(0.01, 0.02, len(ETHANOL)))
    return field.to(dtype)


def transform(state: PhaseState, rotation: Tensor, shift: Tensor) -> PhaseState:
    return PhaseState(state.positions @ rotation.T + shift, state.velocities @ rotation.T)


def conservative_field(dtype: torch.dtype, l_max: int = 2) -> ConservativeField:
    torch.manual_seed(1)
    field = ConservativeField(System.from_atomic_numbers(ETHANOL), 8, l_max)
    field.unit.fill_(2.0)
    return field.to(dtype)


def many_body_field(dtype: torch.dtype, l_max: int = 2) -> EquivariantField:
    torch.manual_seed(1)
    system = System.from_atomic_numbers(ETHANOL)
    field = EquivariantField(system, 4, l_max, messages=MessageSettings(correlation=3))
    field.readout.scale.copy_(torch.linspace(0.01, 0.02, len(ETHANOL)))
    return field.to(dtype)


def ensemble_field(dtype: torch.dtype, l_max: int = 2) -> EnsembleField:
    return EnsembleField([equivariant_field(dtype, l_max), conservative_field(dtype, l_max)])


def velocity_dependent_field(dtype: torch.dtype, l_max: int = 2) -> VelocityDependentField:
    torch.manual_seed(1)
    field = VelocityDependentField(System.from_atomic_numbers(ETHANOL), 8, l_max)
    field.readout.scale.copy_(torch.linspace(0.01, 0.02, len(ETHANOL)))
    field.speed.fill_(0.02)
    return field.to(dtype)


@pytest.mark.parametrize(
    "make", [equivariant_field, conservative_field, velocity_dependent_field, ensemble_field, many_body_field]
)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("l_max", [1, 2, 3])
def test_field_turns_with_the_molecule(
    make: Callable[[torch.dtype, int], Field], dtype: torch.dtype, tolerance: float, reflect: bool, l_max: int
) -> None:
    field, state = make(dtype, l_max), molecule(ETHANOL, 4, dtype)
    torch.manual_seed(5)
    rotation = o3.rand_matrix().to(torch.float64)
    rotation = torch.linalg.qr(rotation)[0].to(dtype) * (-1.0 if reflect else 1.0)
    turned = field(transform(state, rotation, torch.tensor([1.0, -2.0, 0.5], dtype=dtype)))
    plain = field(state)
    assert plain.abs().max() > 1e-3
    assert (turned - plain @ rotation.T).abs().max() < tolerance * plain.abs().max()


def test_a_field_of_velocities_feels_them_but_no_common_drift_and_is_not_reversible() -> None:
    field, state = velocity_dependent_field(torch.float64), molecule(ETHANOL, 3, torch.float64)
    plain, scale = field(state), field(state).abs().max()
    drift = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    assert (field(PhaseState(state.positions, state.velocities + drift)) - plain).abs().max() < 1e-12 * scale
    assert (field(PhaseState(state.positions, state.velocities.neg())) - plain).abs().max() > 1e-2 * scale
    assert (field(PhaseState(state.positions, torch.zeros_like(state.velocities))) - plain).abs().max() > 1e-2 * scale
    order = torch.tensor([1, 0, 2, 5, 4, 3, 8, 7, 6])
    field.readout.scale.fill_(0.015)
    swapped = field(PhaseState(state.positions[:, order], state.velocities[:, order]))
    torch.testing.assert_close(swapped, field(state)[:, order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_field_does_not_care_which_of_two_like_atoms_is_which(dtype: torch.dtype, tolerance: float) -> None:
    field, state = equivariant_field(dtype), molecule(ETHANOL, 3, dtype)
    field.readout.scale.fill_(0.015)
    order = torch.tensor([1, 0, 2, 5, 4, 3, 8, 7, 6])
    swapped = field(PhaseState(state.positions[:, order], state.velocities))
    assert torch.allclose(swapped, field(state)[:, order], atol=tolerance * 0.1, rtol=10 * tolerance)


def test_field_leaves_the_centre_of_mass_alone() -> None:
    field, state = equivariant_field(torch.float64), molecule(ETHANOL, 3, torch.float64)
    system = System.from_atomic_numbers(ETHANOL)
    masses = torch.as_tensor(system.masses)[:, None]
    assert (masses * field(state)).sum(dim=1).abs().max() < 1e-14
    free = EquivariantField(system, 8, zero_net_force=False).double()
    assert (masses * free(state)).sum(dim=1).abs().max() > 1e-3


def test_field_is_smooth_where_a_neighbour_leaves_the_cutoff() -> None:
    field = equivariant_field(torch.float64, cutoff=3.0)
    field.readout.zero_net_force = False
    far = molecule(ETHANOL, 1, torch.float64).positions.repeat(3, 1, 1)
    reach = (far[0, 1:] - far[0, 0]).norm(dim=-1).max()
    direction = torch.tensor([-1.0, -1.0, -1.0], dtype=torch.float64)
    far[1, 0] += direction * (reach + 10.0)
    far[2, 0] += direction * (reach + 20.0)
    beyond = field(PhaseState(far, torch.zeros_like(far)))
    assert torch.allclose(beyond[1, 1:], beyond[2, 1:], rtol=0.0, atol=1e-14)
    edge = 3.0 + torch.tensor([-1e-4, -1e-5, 1e-5], dtype=torch.float64)
    pair = torch.zeros(3, len(ETHANOL), 3, dtype=torch.float64)
    pair[:, :, 0] = 100.0 * torch.arange(len(ETHANOL))
    pair[:, 1, 0] = edge
    felt = field(PhaseState(pair, torch.zeros_like(pair)))[:, 0].norm(dim=-1)
    assert felt[2] == 0.0
    assert felt[0] < 1e-10
    assert felt[1] < felt[0] * 0.01


@pytest.mark.parametrize(("l_max", "layers"), [(1, 2), (2, 2), (2, 3), (3, 2)])
def test_the_field_equals_plain_e3nn_modules_with_the_same_weights(l_max: int, layers: int) -> None:
    """Accelerations, and a gradient by positions, by o3.TensorProduct, o3.Linear and Gate on a list of edges."""
    torch.set_default_dtype(torch.float64)
    try:
        system, field = System.from_atomic_numbers(ETHANOL), equivariant_field(torch.float64, l_max, layers)
        plain = PlainE3NN(field, system)
    finally:
        torch.set_default_dtype(torch.float32)
    found = []
    for accelerations in (lambda x: field(PhaseState(x, x)), lambda x: plain(x, plain.edges(3))):
        positions = molecule(ETHANOL, 3, torch.float64).positions.requires_grad_()
        value = accelerations(positions)
        (slope,) = torch.autograd.grad(value[..., 0].square().sum(), positions)
        found.append((value.detach(), slope))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11 * float(theirs.abs().max()))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_reconstruction_turns_with_the_molecule_and_with_time(dtype: torch.dtype, tolerance: float) -> None:
    model = BidirectionalODE(equivariant_field(dtype), VelocityVerlet(0.5), PowerBlend(3.0))
    start, end = molecule(ETHANOL, 2, dtype), molecule(ETHANOL, 2, dtype)
    end = PhaseState(end.positions + 0.02, end.velocities.flip(0))
    times = torch.linspace(0.5, 4.5, 9, dtype=dtype)
    path = model(Anchors(start, end, 5.0), times)
    rotation = torch.linalg.qr(torch.as_tensor(np.random.default_rng(0).normal(size=(3, 3))))[0].to(dtype)
    shift = torch.tensor([0.3, 0.2, -1.0], dtype=dtype)
    turned = model(Anchors(transform(start, rotation, shift), transform(end, rotation, shift), 5.0), times)
    assert (turned.positions - path.positions @ rotation.T - shift).abs().max() < 10 * tolerance
    back = model(
        Anchors(PhaseState(end.positions, -end.velocities), PhaseState(start.positions, -start.velocities), 5.0),
        5.0 - times.flip(0),
    )
    assert (back.positions.flip(0) - path.positions).abs().max() < 10 * tolerance
    assert (back.velocities.flip(0) + path.velocities).abs().max() < 10 * tolerance
