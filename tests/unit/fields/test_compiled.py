"""Compiled networks: the same numbers as torch's, used only where numbers are all that is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from e3nn import o3
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralmd.data.anchors import Anchors
from neuralmd.fields.base import Field
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.friction import FrictionField
from neuralmd.fields.network import EquivariantNetwork, MessageSettings
from neuralmd.fields.radial import RadialKind, RadialSettings
from neuralmd.fields.tabulated import tabulate
from neuralmd.fields.velocity_dependent import VelocityDependentField
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import PhaseState, System

pytest.importorskip("numba")

ETHANOL = System.from_atomic_numbers([6, 6, 8, 1, 1, 1, 1, 1, 1])
CUTOFF = 4.0
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-12}


def state(atoms: int = 9, batch: int = 3, dtype: torch.dtype = torch.float64) -> PhaseState:
    generator = torch.Generator().manual_seed(3)
    grid = torch.cartesian_prod(*(torch.arange(3.0),) * 3)[:atoms] * 1.3
    noise = torch.randn((2, batch, atoms, 3), generator=generator, dtype=torch.float64)
    return PhaseState((grid + 0.15 * noise[0]).to(dtype), (0.02 * noise[1]).to(dtype))


def equivariant(l_max: int = 2, channels: int = 8, layers: int = 2) -> EquivariantField:
    torch.manual_seed(0)
    return EquivariantField(ETHANOL, channels, l_max, layers, cutoff=CUTOFF)


def bessel() -> EquivariantField:
    torch.manual_seed(0)
    return EquivariantField(
        ETHANOL, 8, cutoff=CUTOFF, messages=MessageSettings(RadialSettings(8, kind=RadialKind.BESSEL))
    )


def many_body() -> EquivariantField:
    torch.manual_seed(0)
    return EquivariantField(ETHANOL, 8, cutoff=CUTOFF, messages=MessageSettings(correlation=2))


def velocity_dependent() -> Field:
    torch.manual_seed(0)
    return VelocityDependentField(ETHANOL, 6, cutoff=CUTOFF)


def friction() -> Field:
    return FrictionField(equivariant(), ETHANOL)


def ensemble() -> Field:
    return EnsembleField([equivariant(), equivariant(1)])


def networks(field: Field) -> list[EquivariantNetwork]:
    return [each for each in field.modules() if isinstance(each, EquivariantNetwork)]


def compiled(field: Field) -> Field:
    copy = deepcopy(field).eval().requires_grad_(requires_grad=False)
    tabulate(copy)
    assert all(each.compiled is not None for each in networks(copy))
    return copy


def without(field: Field) -> Field:
    """The same field with its tables, but computed by torch."""
    copy = deepcopy(field)
    for each in networks(copy):
        each.compiled = None
    return copy


def difference(fast: Field, at: PhaseState) -> float:
    """Between compiled code and torch, the largest in units of the largest acceleration."""
    with torch.no_grad():
        expected, found = without(fast)(at), fast(at)
    assert found.dtype == expected.dtype
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("make", [equivariant, bessel, many_body, velocity_dependent, friction, ensemble])
def test_accelerations_are_those_of_torch(make: Callable[[], Field], dtype: torch.dtype) -> None:
    assert 0.0 < difference(compiled(make().to(dtype)), state(dtype=dtype)) < ROUNDING[dtype]


@pytest.mark.parametrize("dtype", ROUNDING)
def test_machine_code_on_bessel_functions_is_the_plain_field(dtype: torch.dtype) -> None:
    """Neither tables nor machine code lie between the two: what a user trains is what a user reconstructs with."""
    field, at = bessel().to(dtype), state(dtype=dtype)
    with torch.no_grad():
        expected, found = field(at), compiled(field)(at)
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6 * float(expected.abs().max()))


@settings(max_examples=12, deadline=None)
@given(
    l_max=st.integers(1, 3),
    channels=st.sampled_from([1, 3, 8, 13, 24]),
    layers=st.integers(1, 3),
    correlation=st.integers(1, 3),
    atoms=st.sampled_from([1, 2, 5, 20]),
    dtype=st.sampled_from(sorted(ROUNDING, key=str)),
    seed=st.integers(0, 1000),
)
def test_networks_of_all_sizes(
    l_max: int, channels: int, layers: int, correlation: int, atoms: int, dtype: torch.dtype, seed: int
) -> None:
    torch.manual_seed(seed)
    system = System.from_atomic_numbers(np.random.default_rng(seed).choice([1, 6, 8], atoms).tolist())
    messages = MessageSettings(correlation=correlation)
    field = EquivariantField(system, channels, l_max, layers, 3.0, messages=messages, zero_net_force=False).to(dtype)
    field.readout.scale.uniform_(0.5, 2.0)
    at = state(atoms, dtype=dtype)
    fast = compiled(field)
    with torch.no_grad():
        expected, found = without(fast)(at), fast(at)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING[dtype] * float(expected.abs().max()))


@pytest.mark.parametrize("distance", [0.02, 0.3, 1.1, CUTOFF - 1e-6, CUTOFF, CUTOFF + 0.05, CUTOFF + 0.2, 30.0, 1e6])
def test_two_atoms_at_any_distance(distance: float) -> None:
    torch.manual_seed(0)
    fast = compiled(EquivariantField(System.from_atomic_numbers([6, 1]), 8, cutoff=CUTOFF).double())
    positions = torch.tensor([[[0.0, 0.0, 0.0], [0.6 * distance, 0.0, 0.8 * distance]]], dtype=torch.float64)
    at = PhaseState(positions, torch.zeros_like(positions))
    expected = without(fast)(at)
    torch.testing.assert_close(fast(at), expected, rtol=1e-12, atol=max(1e-18, 1e-12 * float(expected.abs().max())))


def test_large_accelerations() -> None:
    field = equivariant()
    with torch.no_grad():
        field.readout.scale.fill_(1e6)
        for weight in field.network.parameters():
            weight.mul_(3.0)
    assert difference(compiled(field), state(dtype=torch.float32)) < ROUNDING[torch.float32]


@pytest.mark.parametrize("improper", [False, True])
def test_a_rotated_molecule_has_rotated_accelerations(improper: bool) -> None:
    torch.manual_seed(1)
    rotation = o3.rand_matrix(dtype=torch.float64) * (-1 if improper else 1)
    fast, at = compiled(equivariant(3).double()), state()
    turned = PhaseState(at.positions @ rotation.T + 2.0, at.velocities @ rotation.T)
    torch.testing.assert_close(fast(turned), fast(at) @ rotation.T, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_a_number_stays_so_and_leaves_the_rest_of_the_batch_alone(value: float) -> None:
    fast, at = compiled(equivariant().double()), state()
    broken = at.positions.clone()
    broken[1, 4, 0] = value
    found = fast(PhaseState(broken, at.velocities))
    assert bool(found[1].isnan().all())
    assert torch.equal(found[[0, 2]], fast(at)[[0, 2]])


def test_two_atoms_in_one_place_are_no_error_of_the_code() -> None:
    fast, at = compiled(equivariant().double()), state()
    at.positions[0, 1] = at.positions[0, 2]
    assert bool(fast(at)[0].isnan().any())


def test_several_threads_give_the_same_to_the_last_bit() -> None:
    fast, at = compiled(equivariant().double()), state(batch=200)
    alone, threads = fast(at), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(fast(at), alone)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(fast(PhaseState(at.positions[7:8], at.velocities[7:8])), alone[7:8])


def test_gradients_are_torchs_own() -> None:
    fast, at = compiled(equivariant().double()), state()
    positions = at.positions.clone().requires_grad_()
    fast(PhaseState(positions, at.velocities)).sum().backward()
    assert positions.grad is not None
    fast.train().requires_grad_()
    fast(at).square().sum().backward()
    assert all(weight.grad is not None for weight in fast.parameters())


def test_weights_that_are_loaded_later_are_used() -> None:
    field = equivariant().double()
    fast, at = compiled(field), state()
    fast(at)
    with torch.no_grad():
        for weight in field.parameters():
            weight.mul_(1.1)
    fast.load_state_dict(field.state_dict())
    expected = compiled(field)(at)
    torch.testing.assert_close(fast(at), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_a_copy_and_another_precision_are_compiled_too() -> None:
    fast = compiled(equivariant())
    fast(state(dtype=torch.float32))
    copy = deepcopy(fast).double()
    assert difference(copy, state()) < ROUNDING[torch.float64]
    assert difference(fast, state(dtype=torch.float32)) < ROUNDING[torch.float32]


def test_without_numba_torch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, at = compiled(equivariant().double()), state()
    monkeypatch.setitem(sys.modules, "neuralmd.fields.compiled_kernel", None)
    plain = deepcopy(fast)
    tabulate(plain)
    assert plain.network.compiled is None
    torch.testing.assert_close(plain(at), fast(at), rtol=0, atol=1e-12 * float(fast(at).abs().max()))


def test_without_a_folder_to_keep_machine_code_in_it_is_made_each_time() -> None:
    from neuralmd.fields.machine_code import kept

    names: dict[str, Callable[[int], int]] = {}
    exec("def double(number): return 2 * number", names)  # noqa: S102 - a function of no file
    assert kept(names["double"])(21) == 42


def test_a_path_is_that_of_torch() -> None:
    """To far less than the two solutions differ by, which is what the error of a path is made of."""
    field = equivariant(channels=24)
    field.readout.scale.fill_(0.01)
    fast, start = compiled(field), state(dtype=torch.float32)
    times = torch.arange(0.5, 10.0, 0.5)
    end = PhaseState(start.positions + 0.1, start.velocities)
    anchors = Anchors(start, end, 10.0)
    paths = []
    for each in (field.requires_grad_(requires_grad=False), fast):
        model = BidirectionalODE(each, VelocityVerlet(0.5), PowerBlend(3.0))
        forward, backward = model.solutions(anchors, times)
        paths.append(model(anchors, times).positions)
        apart = (forward.positions - backward.positions).abs().mean()
    assert float((paths[1] - paths[0]).abs().mean()) < 1e-3 * float(apart)
