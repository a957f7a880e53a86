"""Fields whose radial functions are read from tables: as good as the fields themselves, and never out of date."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn

from neuralmd.fields.base import Field
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.friction import FrictionField
from neuralmd.fields.network import EquivariantNetwork, MessageSettings
from neuralmd.fields.radial import RadialKind, RadialSettings
from neuralmd.fields.tabulated import tabulate
from neuralmd.fields.velocity_dependent import VelocityDependentField
from neuralmd.system import PhaseState, System

ETHANOL = System.from_atomic_numbers([6, 6, 8, 1, 1, 1, 1, 1, 1])
CUTOFF = 4.0


def state(batch: int = 6, dtype: torch.dtype = torch.float64) -> PhaseState:
    generator = torch.Generator().manual_seed(3)
    grid = torch.cartesian_prod(torch.arange(3.0), torch.arange(2.0), torch.arange(2.0))[:9] * 1.3
    noise = torch.randn((2, batch, 9, 3), generator=generator, dtype=torch.float64)
    return PhaseState((grid + 0.15 * noise[0]).to(dtype), (0.02 * noise[1]).to(dtype))


def equivariant(l_max: int = 2) -> EquivariantField:
    torch.manual_seed(0)
    return EquivariantField(ETHANOL, 8, l_max, cutoff=CUTOFF)


def bessel() -> EquivariantField:
    torch.manual_seed(0)
    return EquivariantField(
        ETHANOL, 8, cutoff=CUTOFF, messages=MessageSettings(RadialSettings(8, kind=RadialKind.BESSEL))
    )


def velocity_dependent() -> Field:
    torch.manual_seed(0)
    return VelocityDependentField(ETHANOL, 8, cutoff=CUTOFF)


def friction() -> Field:
    return FrictionField(equivariant(), ETHANOL)


def ensemble() -> Field:
    return EnsembleField([equivariant(), equivariant(1)])


def tabulated(field: Field) -> Field:
    """A copy with tables, computed by torch; `test_compiled` is about machine code."""
    copy = deepcopy(field).eval().requires_grad_(requires_grad=False)
    tabulate(copy)
    for each in copy.modules():
        if isinstance(each, EquivariantNetwork):
            each.compiled = None
    return copy


def difference(field: Field, other: Field, at: PhaseState) -> float:
    """The largest, in units of the largest acceleration."""
    with torch.no_grad():
        expected, found = field(at), other(at)
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("make", [equivariant, bessel, velocity_dependent, friction, ensemble])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-6), (torch.float64, 1e-6)])
def test_a_table_gives_the_accelerations_of_the_field(
    make: Callable[[], Field], dtype: torch.dtype, tolerance: float
) -> None:
    field = make().to(dtype)
    fast = tabulated(field)
    assert 0.0 < difference(field, fast, state(dtype=dtype)) < tolerance


def test_a_table_keeps_its_precision_when_that_of_the_field_is_changed() -> None:
    field = equivariant()
    fast = tabulated(field)
    assert difference(field.double(), fast.double(), state()) < 1e-6


def test_sharp_radial_functions_get_a_finer_table() -> None:
    field = equivariant().double()
    plain = tabulated(field)
    with torch.no_grad():
        for network in field.network.radials.networks:
            network.inner.weight *= 4.0
    sharp = tabulated(field)
    assert difference(field, sharp, state()) < 1e-6
    assert sharp.network.radials.table.knots > 1.2 * plain.network.radials.table.knots


@pytest.mark.parametrize("make", [equivariant, bessel])
def test_derivatives_by_positions_are_those_of_the_field(make: Callable[[], EquivariantField]) -> None:
    field = make().double()
    fast, slopes = tabulated(field), []
    for each in (field, fast):
        at = state(2)
        positions = at.positions.clone().requires_grad_()
        weights = torch.linspace(-1, 1, positions.numel(), dtype=torch.float64).reshape(positions.shape)
        loss = (each(PhaseState(positions, at.velocities)) * weights).sum()
        slopes.append(torch.autograd.grad(loss, positions)[0])
    torch.testing.assert_close(slopes[1], slopes[0], rtol=0, atol=2e-5 * float(slopes[0].abs().max()))


@pytest.mark.parametrize("distance", [0.02, 0.3, CUTOFF - 1e-6, CUTOFF, CUTOFF + 0.05, CUTOFF + 0.2, 30.0, 1e6])
@pytest.mark.parametrize("kind", RadialKind)
def test_two_atoms_at_any_distance(distance: float, kind: RadialKind) -> None:
    torch.manual_seed(0)
    messages = MessageSettings(RadialSettings(8, kind=kind))
    field = EquivariantField(System.from_atomic_numbers([6, 1]), 8, cutoff=CUTOFF, messages=messages).double()
    positions = torch.tensor([[[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]], dtype=torch.float64)
    at = PhaseState(positions, torch.zeros_like(positions))
    with torch.no_grad():
        expected, found = field(at), tabulated(field)(at)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    if distance > CUTOFF + 1.0:
        assert float(found.abs().max()) == 0.0


def test_what_is_not_a_number_stays_so_and_leaves_the_rest_of_the_batch_alone() -> None:
    fast, at = tabulated(equivariant().double()), state(3)
    expected = fast(at)
    for value in (torch.nan, torch.inf):
        broken = at.positions.clone()
        broken[1, 4, 0] = value
        found = fast(PhaseState(broken, at.velocities))
        assert bool(found[1].isnan().any())
        torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])


def test_a_checkpoint_that_is_loaded_later_is_tabulated_anew() -> None:
    field = equivariant().double()
    fast = tabulated(field)
    with torch.no_grad():
        for weight in field.parameters():
            weight.mul_(1.1)
    assert difference(field, fast, state()) > 1e-3
    nn.ModuleDict({"field": fast}).load_state_dict(nn.ModuleDict({"field": field}).state_dict())
    assert difference(field, fast, state()) < 1e-6


def test_training_drops_the_table_and_a_copy_keeps_it() -> None:
    field = equivariant().double()
    fast = tabulated(field)
    assert difference(tabulated(field), deepcopy(fast), state()) < 1e-14
    assert difference(field, fast, state()) > 1e-12
    assert difference(field, fast.train(), state()) < 1e-14
    fast.requires_grad_()
    fast(state()).square().sum().backward()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in fast.network.radials.parameters())


def test_a_table_changes_neither_names_nor_numbers_of_a_checkpoint() -> None:
    field = equivariant()
    before, after = field.state_dict(), tabulated(field).state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_energy_is_not_tabulated() -> None:
    torch.manual_seed(0)
    field = ConservativeField(ETHANOL, 4, 1, cutoff=CUTOFF).double()
    assert difference(field, tabulated(field), state(2)) < 1e-14


def test_a_batch_that_is_cut_up_is_as_good_as_one_by_one() -> None:
    field, at = equivariant(1).double(), state(200)
    with torch.no_grad():
        together = field(at)
        alone = [field(PhaseState(x[None], v[None])) for x, v in zip(at.positions, at.velocities, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(together, field(at).detach(), rtol=1e-10, atol=1e-14)


@pytest.mark.gpu
def test_a_table_moves_to_a_gpu() -> None:
    field = equivariant()
    fast, at = tabulated(field).cuda(), state(dtype=torch.float32)
    with torch.no_grad():
        expected, found = field(at), fast(at.to(torch.device("cuda"))).cpu()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
