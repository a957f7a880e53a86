from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from neuralmd.data.anchors import Anchors
from neuralmd.errors import DataError
from neuralmd.interpolators.splines import CubicHermite, Linear, NaturalCubicSpline, QuinticHermite
from neuralmd.system import PhaseState

GAP = 3.0
TIMES = torch.linspace(0.0, GAP, 13, dtype=torch.float64)


def polynomial(degree: int) -> tuple[torch.Tensor, ...]:
    """Coefficients, highest power first, of a polynomial for each of two windows of two atoms."""
    generator = torch.Generator().manual_seed(degree)
    return tuple(torch.randn((2, 2, 3), generator=generator, dtype=torch.float64) for _ in range(degree + 1))


def value(coefficients: tuple[torch.Tensor, ...], time: torch.Tensor) -> torch.Tensor:
    time = time.reshape(-1, 1, 1, 1)
    total = torch.zeros((len(time), 2, 2, 3), dtype=torch.float64)
    for coefficient in coefficients:
        total = total * time + coefficient
    return total


def derivative(coefficients: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    degree = len(coefficients) - 1
    return tuple((degree - k) * coefficient for k, coefficient in enumerate(coefficients[:-1]))


def anchors_on(coefficients: tuple[torch.Tensor, ...]) -> Anchors:
    ends = torch.tensor([0.0, GAP], dtype=torch.float64)
    velocity = derivative(coefficients)
    positions, velocities, accelerations = (
        value(each, ends) for each in (coefficients, velocity, derivative(velocity))
    )
    start, end = (PhaseState(positions[k], velocities[k]) for k in (0, 1))
    return Anchors(start, end, GAP, accelerations[0], accelerations[1])


@pytest.mark.parametrize(("spline", "degree"), [(Linear(), 1), (CubicHermite(), 3), (QuinticHermite(), 5)])
def test_reproduces_polynomials_of_its_degree(spline, degree):
    coefficients = polynomial(degree)
    path = spline(anchors_on(coefficients), TIMES)
    torch.testing.assert_close(path.positions, value(coefficients, TIMES), rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(path.velocities, value(derivative(coefficients), TIMES), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(("spline", "degree"), [(Linear(), 2), (CubicHermite(), 4), (QuinticHermite(), 6)])
def test_and_of_no_higher_degree(spline, degree):
    coefficients = polynomial(degree)
    path = spline(anchors_on(coefficients), TIMES)
    assert float((path.positions - value(coefficients, TIMES)).abs().max()) > 1e-3


def knots_around(values: np.ndarray) -> Anchors:
    """The gap in the middle of a series of known frames; velocities that no spline through positions may read."""
    context = torch.from_numpy(values)
    middle = len(values) // 2
    unknown = torch.full_like(context[0], torch.nan)
    start, end = (PhaseState(context[k], unknown) for k in (middle - 1, middle))
    return Anchors(start, end, GAP, context=context)


@given(half=st.integers(1, 13), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_natural_spline_is_scipys_through_the_same_knots(half, seed):
    count = 2 * half
    values = np.random.default_rng(seed).normal(size=(count, 2, 3, 3))
    path = NaturalCubicSpline()(knots_around(values), TIMES)
    reference = CubicSpline(GAP * np.arange(count), values, bc_type="natural")
    times = GAP * (half - 1) + TIMES.numpy()
    np.testing.assert_allclose(path.positions.numpy(), reference(times), rtol=0, atol=1e-12)
    np.testing.assert_allclose(path.velocities.numpy(), reference(times, 1), rtol=0, atol=1e-12)


def test_natural_spline_takes_knots_in_single_precision():
    values = np.random.default_rng(0).normal(size=(26, 1, 2, 3))
    reference = NaturalCubicSpline()(knots_around(values), TIMES).positions
    single = NaturalCubicSpline()(knots_around(values.astype(np.float32)), TIMES.float()).positions
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), reference, rtol=0, atol=2e-6)


def test_natural_spline_needs_the_frames_around_the_gap():
    with pytest.raises(DataError, match="12 frames on each side"):
        NaturalCubicSpline()(anchors_on(polynomial(3)), TIMES)


def test_natural_spline_needs_as_many_frames_before_as_after():
    with pytest.raises(DataError, match="even number"):
        NaturalCubicSpline()(knots_around(np.zeros((5, 1, 2, 3))), TIMES)


def test_quintic_hermite_needs_forces():
    anchors = anchors_on(polynomial(3))
    bare = Anchors(anchors.start, anchors.end, GAP)
    with pytest.raises(DataError, match="forces"):
        QuinticHermite()(bare, TIMES)


def test_a_gap_must_be_positive():
    anchors = anchors_on(polynomial(1))
    with pytest.raises(DataError, match="positive"):
        Linear()(Anchors(anchors.start, anchors.end, 0.0), TIMES)
