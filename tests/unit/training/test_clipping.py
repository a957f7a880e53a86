"""Limits of a gradient's norm: a largest one, and one in units of what is usual."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from neuralmd.config import Training
from neuralmd.training.clipping import Clipping


def weights(norm: float) -> list[nn.Parameter]:
    """Two weights whose gradients have a norm together."""
    made = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(()))]
    made[0].grad, made[1].grad = torch.tensor([0.6, 0.0]) * norm, torch.tensor(0.8) * norm
    return made


def norm_of(some: list[nn.Parameter]) -> float:
    return math.sqrt(sum(float(each.grad.square().sum()) for each in some if each.grad is not None))


@pytest.mark.parametrize(
    ("spike", "usual", "expected"), [(None, 1.0, 10.0), (4.0, None, 10.0), (4.0, 1.0, 4.0), (4.0, 100.0, 10.0)]
)
def test_the_smaller_limit_holds(spike: float | None, usual: float | None, expected: float) -> None:
    some = weights(50.0)
    norm, _ = Clipping(10.0, spike)(some, usual)
    assert norm == pytest.approx(50.0)
    assert norm_of(some) == pytest.approx(expected, rel=1e-5)
    assert float(some[1].grad / some[0].grad[0]) == pytest.approx(0.8 / 0.6)  # the direction stays


def test_what_is_usual_follows_the_norms_and_a_spike_moves_it_little() -> None:
    clipping, usual = Clipping(10.0, 4.0), None
    for _ in range(300):
        _, usual = clipping(weights(0.5), usual)
    assert usual == pytest.approx(0.5)
    _, after = clipping(weights(1e6), usual)
    assert after is not None
    assert usual < after < 1.1 * usual
    for _ in range(500):
        _, after = clipping(weights(0.01), after)
    assert after == pytest.approx(0.01, rel=1e-2)


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_what_is_not_finite_is_reported_and_forgotten(norm: float) -> None:
    found, usual = Clipping(10.0, 4.0)(weights(norm), 0.5)
    assert not math.isfinite(found)
    assert usual == 0.5


def test_a_limit_below_the_usual_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="spike_clip"):
        Training(spike_clip=0.5)
