"""wandb's distributions: what is read, what is drawn, and what is refused."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmd.errors import ConfigError
from neuralmd.sweeps.distributions import Beta, Choice, Constant, Distribution, Normal, Range
from neuralmd.sweeps.parameters import overlapping, parse


def drawn(block: dict, count: int = 4000) -> list:
    """Values as random quantiles give them."""
    random_numbers = random.Random(0)  # noqa: S311 - no secret
    one = parse(block)
    return [one.at(random_numbers.random()) for _ in range(count)]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"value": 3}, Constant(3)),
        ({"value": None}, Constant(None)),
        ({"values": [1, "a", None]}, Choice((1, "a", None))),
        ({"values": [1, 2], "probabilities": [0.25, 0.75]}, Choice((1, 2), (0.25, 0.75))),
        ({"min": 1, "max": 4}, Range(1.0, 4.0, quantum=1)),
        ({"min": 1.0, "max": 4}, Range(1.0, 4.0)),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1}, Range(0.0, 1.0, quantum=0.1)),
        ({"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}, Range(1e-4, 1e-2, "log")),
        ({"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8}, Range(8.0, 64.0, "log", 8)),
        ({"distribution": "normal"}, Normal(0.0, 1.0)),
        ({"distribution": "q_log_normal", "mu": 1, "sigma": 2}, Normal(1.0, 2.0, "log", 1)),
        ({"distribution": "beta", "a": 2, "b": 3}, Beta(2.0, 3.0)),
    ],
)
def test_blocks_are_read_by_wandbs_rules(block: dict, expected: Distribution) -> None:
    assert parse(block) == expected


def test_logarithmic_ends_are_exponents_of_e_unless_they_are_called_values() -> None:
    assert parse({"distribution": "log_uniform", "min": -2, "max": 0}) == Range(math.exp(-2), 1.0, "log")
    assert parse({"distribution": "inv_log_uniform", "min": 0, "max": 2}) == Range(math.exp(-2), 1.0, "log")
    values = drawn({"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2})
    assert min(values) >= 1e-4
    assert max(values) <= 1e-2
    assert statistics.median(values) == pytest.approx(1e-3, rel=0.1)


def test_quantised_values_are_multiples_and_whole_where_the_step_is() -> None:
    whole = drawn({"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8})
    assert set(whole) == {8, 16, 24, 32, 40, 48, 56, 64}
    assert all(isinstance(value, int) for value in whole)
    assert set(drawn({"distribution": "q_uniform", "min": 0, "max": 0.3, "q": 0.1})) == {0.0, 0.1, 0.2, 0.3}
    assert parse({"min": 2, "max": 5}).values() == (2, 3, 4, 5)


def test_probabilities_are_kept_to() -> None:
    values = drawn({"values": ["a", "b", "c"], "probabilities": [0.1, 0.6, 0.3]})
    assert values.count("a") / len(values) == pytest.approx(0.1, abs=0.02)
    assert values.count("b") / len(values) == pytest.approx(0.6, abs=0.03)


def test_moments_of_the_bell_and_of_beta() -> None:
    normal = drawn({"distribution": "normal", "mu": 3, "sigma": 0.5})
    assert statistics.fmean(normal) == pytest.approx(3.0, abs=0.03)
    assert statistics.stdev(normal) == pytest.approx(0.5, rel=0.05)
    assert statistics.median(drawn({"distribution": "log_normal", "mu": -6, "sigma": 1})) == pytest.approx(
        math.exp(-6), rel=0.1
    )
    assert statistics.fmean(drawn({"distribution": "beta", "a": 2, "b": 6}, 500)) == pytest.approx(0.25, abs=0.02)


@given(low=st.floats(1e-6, 1e3), factor=st.floats(1.1, 1e6), quantile=st.floats(0, 1))
def test_a_range_is_never_left(low: float, factor: float, quantile: float) -> None:
    high = low * factor
    for kind in ("uniform", "log_uniform_values"):
        value = parse({"distribution": kind, "min": low, "max": high}).at(quantile)
        assert low * (1 - 1e-9) <= value <= high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (3, "expected a block"),
        ({}, "expected value, values, min and max"),
        ({"distribution": "log_uniform_value", "min": 1, "max": 2}, "did you mean log_uniform_values?"),
        ({"distribution": "gaussian-ish"}, "known: beta, categorical"),
        ({"min": 2, "max": 1}, "the range is empty: min is 2 and max is 1"),
        ({"min": 0.1, "max": 0.1}, "the range is empty"),
        ({"values": []}, "empty"),
        ({"values": [1, 2, 1]}, "comes twice"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "in sum 1"),
        ({"values": [1, 2], "probabilities": [1.0]}, "expected 2 probabilities"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "min above 0"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "whole numbers"),
        ({"distribution": "normal", "sigma": 0}, "sigma above 0"),
        ({"distribution": "uniform", "min": 0}, "expected max, but it is missing"),
        ({"distribution": "uniform", "min": "a", "max": 1}, "finite number for min"),
        ({"distribution": "uniform", "min": 0, "max": math.inf}, "finite number for max"),
        ({"value": 1, "min": 0}, "unknown key 'min'; constant takes value"),
        ({"parameters": {"a": {"value": 1}}}, "flat key"),
    ],
)
def test_a_parameter_that_is_none_is_refused_with_the_reason(block: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(block)
    assert told in str(caught.value)


def test_a_block_and_one_of_its_settings_overlap() -> None:
    assert overlapping(["model.solver", "model.solver.step", "seed"]) == ("model.solver", "model.solver.step")
    assert overlapping(["model.solver", "model.solver_step"]) is None
