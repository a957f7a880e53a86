"""Products of messages: what e3nn's tensor product gives, and angles that sums over neighbours do not see."""

from __future__ import annotations

import math

import pytest
import torch
from e3nn import o3
from torch import Tensor

from neuralmd.build.fields import field as built
from neuralmd.config import EquivariantFieldConfig
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.many_body import ManyBody
from neuralmd.fields.network import MessageSettings
from neuralmd.fields.tabulated import tabulate
from neuralmd.fields.tensor_product import Features
from neuralmd.system import PhaseState, System

WATER = System.from_atomic_numbers([8, 1, 1])
CHANNELS = 3


def features(l_max: int) -> Features:
    torch.manual_seed(0)
    return [torch.randn(2, 2 * degree + 1, 4, CHANNELS, dtype=torch.float64) for degree in range(l_max + 1)]


def of_e3nn(first: Features, second: Features, degrees: tuple[int, int, int]) -> Tensor:
    """One coupling of two sets of features, channel by channel, by e3nn."""
    one, other, out = degrees
    irreps = [o3.Irreps(f"{CHANNELS}x{degree}{'e' if degree % 2 == 0 else 'o'}") for degree in degrees]
    path = [(0, 0, 0, "uuu", False, 1.0)]
    product = o3.TensorProduct(*irreps, path, irrep_normalization="component", path_normalization="none").double()
    left, right = (each.permute(0, 2, 3, 1).flatten(2) for each in (first[one], second[other]))
    return product(left, right).unflatten(-1, (CHANNELS, 2 * out + 1)).permute(0, 3, 1, 2)


def test_a_square_is_what_e3nn_gives() -> None:
    messages, power = features(2), ManyBody(CHANNELS, 2, 1, correlation=2).double()
    (product,) = power.powers
    scalars = torch.cat([of_e3nn(messages, messages, (degree, degree, 0)) for degree in range(3)], dim=-1)
    vectors = torch.cat([of_e3nn(messages, messages, pair) for pair in ((0, 1, 1), (1, 2, 1))], dim=-1)
    expected = [scalars @ product.mix[0], vectors @ product.mix[1]]
    for found, square, plain in zip(power(messages), expected, messages, strict=False):
        # Within the rounding of e3nn, which keeps its coefficients in single precision.
        torch.testing.assert_close(found, (plain + square) / math.sqrt(2), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("correlation", [2, 3])
def test_a_power_is_of_its_degree(correlation: int) -> None:
    """The part that grows with the highest power is found by how the result changes with the size of the messages."""
    messages, power = features(2), ManyBody(CHANNELS, 2, 2, correlation).double()
    sizes = torch.arange(1.0, correlation + 2.0, dtype=torch.float64)
    found = torch.stack([power([size * each for each in messages])[0] for size in sizes])
    differences = found
    for _ in range(correlation):
        differences = differences.diff(dim=0)
    highest = differences / math.factorial(correlation)
    assert highest.abs().max() > 0.1
    last = power.powers[-1]
    before = messages if correlation == 2 else power.powers[0](messages, messages)
    torch.testing.assert_close(highest[0], last(before, messages)[0] / correlation**0.5, rtol=1e-8, atol=1e-8)


def centre_scalars(angle: float, correlation: int) -> Tensor:
    """What one layer knows of the oxygen of a water whose hydrogens are beyond each other's reach."""
    torch.manual_seed(1)
    messages = MessageSettings(correlation=correlation)
    field = ConservativeField(WATER, 4, l_max=2, layers=1, cutoff=1.2, messages=messages).double()
    ends = [[math.cos(sign * angle / 2), math.sin(sign * angle / 2), 0.0] for sign in (-1, 1)]
    positions = torch.tensor([[[0.0, 0.0, 0.0], *ends]], dtype=torch.float64)
    return field.network(positions, [field.embedding(1)])[0][0, 0, 0]


def test_only_products_see_the_angle_between_two_neighbours() -> None:
    narrow, wide = 1.7, 2.3
    torch.testing.assert_close(centre_scalars(narrow, 1), centre_scalars(wide, 1), rtol=0, atol=1e-12)
    assert (centre_scalars(narrow, 2) - centre_scalars(wide, 2)).abs().max() > 1e-3


def test_a_list_and_tables_give_the_same_and_training_reaches_every_weight() -> None:
    torch.manual_seed(2)
    field = EquivariantField(WATER, 4, messages=MessageSettings(correlation=3)).double()
    positions = torch.tensor([[[0.0, 0.0, 0.0], [0.9, 0.3, 0.1], [-0.5, 0.8, 0.0]]], dtype=torch.float64)
    state = PhaseState(positions, torch.zeros_like(positions))
    expected = field(state)
    expected.square().sum().backward()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in field.parameters())
    field.network.use("list")
    torch.testing.assert_close(field(state), expected, rtol=1e-9, atol=1e-12)
    field.network.use("all_pairs")
    tabulate(field.eval())
    with torch.no_grad():
        torch.testing.assert_close(field(state), expected, rtol=1e-4, atol=1e-6 * float(expected.detach().abs().max()))


def test_a_configuration_names_it_and_fields_without_it_are_as_they_were() -> None:
    size = {"channels": 4, "l_max": 1, "layers": 1}
    plain, products = (built(EquivariantFieldConfig(**size, correlation=n), WATER) for n in (1, 2))
    assert isinstance(products, EquivariantField)
    assert not any("products" in name for name in plain.state_dict())
    assert set(plain.state_dict()) < set(products.state_dict())
