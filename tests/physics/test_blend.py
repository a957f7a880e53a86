"""Lambda: its ends, its symmetry, its slope; and the velocity of a blend is the derivative of its positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuralmd.errors import ConfigError
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.blending import (
    Blend,
    CompactBlend,
    LinearBlend,
    PowerBlend,
    QuinticBlend,
    SmoothstepBlend,
    blend,
)
from neuralmd.interpolators.learned_blend import DEGREE, LearnedBlend
from neuralmd.system import System

GAP = 7.0


def learned() -> LearnedBlend:
    """Two elements, each with a lambda of random steps, some of them none."""
    shape = LearnedBlend(System.from_atomic_numbers([8, 1]), [GAP]).double()
    steps = torch.rand(1, 2, DEGREE - 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    steps = (steps - 0.3).clamp(min=0.0)
    rising = (steps / steps.sum(-1, keepdim=True)).cumsum(-1)
    shape.coefficients[..., 2 : DEGREE - 1] = rising[..., :-1]
    shape.coefficients[..., DEGREE - 1 :] = 1.0
    shape.ready.fill_(value=True)
    return shape


BLENDS = [
    LinearBlend(),
    SmoothstepBlend(),
    QuinticBlend(),
    PowerBlend(1.0),
    PowerBlend(1.5),
    PowerBlend(2.0),
    PowerBlend(3.0),
    CompactBlend(0.0, 3.0),
    CompactBlend(0.2, 3.0),
    CompactBlend(0.4, 3.0),
    learned(),
    PowerBlend(2000.0),
]
SMOOTH = BLENDS[:-1]
OF_A_FORMULA = [shape for shape in BLENDS if not isinstance(shape, LearnedBlend)]


def weight(shape: Blend, s: torch.Tensor) -> torch.Tensor:
    """lambda of each atom, or of all."""
    return shape.of_atoms(s, GAP)[0].reshape(len(s), -1)


def rate(shape: Blend, s: torch.Tensor) -> torch.Tensor:
    """d lambda/ds of the same."""
    return GAP * shape.of_atoms(s, GAP)[1].reshape(len(s), -1)


@pytest.mark.parametrize("shape", BLENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_are_exact(shape, dtype):
    ends = torch.tensor([0.0, 1.0], dtype=dtype)
    found = weight(shape, ends)
    assert torch.equal(found, ends[:, None].expand_as(found))
    assert found.dtype == dtype
    assert bool(torch.isfinite(rate(shape, ends)).all())


@pytest.mark.parametrize("shape", OF_A_FORMULA)
@given(s=st.floats(0.0, 1.0))
def test_both_anchors_count_the_same(shape, s):
    pair = torch.tensor([s, 1.0 - s], dtype=torch.float64)
    assert float(shape.weight(pair).sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shape", BLENDS)
def test_the_weight_never_falls(shape):
    found = weight(shape, torch.linspace(0.0, 1.0, 1001, dtype=torch.float64))
    assert bool((found.diff(dim=0) >= 0).all())


@pytest.mark.parametrize("shape", SMOOTH)
def test_the_rate_is_the_derivative_of_the_weight(shape):
    s = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    difference = (weight(shape, s + 1e-6) - weight(shape, s - 1e-6)) / 2e-6
    torch.testing.assert_close(rate(shape, s), difference, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "shape", [SmoothstepBlend(), QuinticBlend(), PowerBlend(2.0), PowerBlend(3.0), CompactBlend(0.2), learned()]
)
def test_smooth_blends_start_and_end_at_rest(shape):
    assert not bool(rate(shape, torch.tensor([0.0, 1.0], dtype=torch.float64)).any())


def test_a_power_below_one_is_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        PowerBlend(0.5)


def test_a_compact_blend_has_no_weight_in_its_margins():
    shape = CompactBlend(0.2)
    s = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)
    assert shape.weight(s)[:3].tolist() == [0.0, 0.0, 0.0]
    assert shape.weight(s)[-3:].tolist() == [1.0, 1.0, 1.0]
    assert bool((shape.weight(s)[3:8].diff() > 0).all())
    assert shape.rate(s)[[0, 1, 2, 8, 9, 10]].tolist() == [0.0] * 6
    assert shape.reach == 0.8


@pytest.mark.parametrize("margin", [-0.1, 0.5, float("nan")])
def test_a_margin_that_leaves_no_middle_is_refused(margin):
    with pytest.raises(ConfigError, match="margin"):
        CompactBlend(margin)


def paths(times: torch.Tensor) -> tuple[Path, Path]:
    t = times.reshape(-1, 1, 1, 1)
    phase = torch.arange(6, dtype=torch.float64).reshape(1, 1, 2, 3)
    forward = Path(torch.sin(t + phase), torch.cos(t + phase))
    backward = Path(torch.cos(1.3 * t + phase), -1.3 * torch.sin(1.3 * t + phase))
    return forward, backward


def blended(shape, times: torch.Tensor, gap: float) -> Path:
    forward, backward = paths(times)
    return blend(forward, backward, *shape.of_atoms(times / gap, gap))


@pytest.mark.parametrize("shape", SMOOTH)
def test_the_velocity_of_a_blend_is_the_derivative_of_its_positions(shape):
    gap, times = GAP, torch.linspace(0.1, 6.9, 50, dtype=torch.float64)
    ahead, behind = blended(shape, times + 1e-6, gap), blended(shape, times - 1e-6, gap)
    difference = (ahead.positions - behind.positions) / 2e-6
    torch.testing.assert_close(blended(shape, times, gap).velocities, difference, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", BLENDS)
def test_a_blend_meets_both_ends_bit_for_bit(shape):
    times = torch.tensor([0.0, GAP], dtype=torch.float64)
    forward, backward = paths(times)
    path = blended(shape, times, GAP)
    assert torch.equal(path.positions[0], forward.positions[0])
    assert torch.equal(path.positions[1], backward.positions[1])


def test_solutions_that_differ_in_shape_are_refused():
    times = torch.tensor([0.0, 7.0], dtype=torch.float64)
    forward, _ = paths(times)
    _, backward = paths(times[:1])
    with pytest.raises(ValueError, match="same times"):
        blend(forward, backward, times, times)
