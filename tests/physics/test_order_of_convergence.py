"""Halving the step divides the error by 2^order, for a linear and for an anharmonic field."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from analytic import DampedField, HarmonicField, MorseField, triangle

from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Midpoint, Solver, VelocityVerlet
from neuralmd.system import PhaseState

SPAN = 8.0
ACCURATE = Dopri5(rtol=1e-10, atol=1e-11)
ORDERS = [(VelocityVerlet, 2), (BlanesMoan, 4), (Midpoint, 2), (RK4, 4)]


def end_of(field, solver: Solver, span: float = SPAN) -> PhaseState:
    with torch.no_grad():
        solution = solve(field, triangle(), torch.tensor([0.0, span], dtype=torch.float64), solver)
    return PhaseState(solution.positions[-1], solution.velocities[-1])


def distance(one: PhaseState, other: PhaseState) -> float:
    change = torch.stack((one.positions - other.positions, one.velocities - other.velocities))
    return float(change.abs().max())


@pytest.mark.parametrize(("solver", "order"), ORDERS)
@pytest.mark.parametrize("span", [SPAN, -SPAN])
def test_harmonic_oscillator(solver, order, span):
    field = HarmonicField()
    exact = field.exact(triangle(), span)
    errors = [distance(end_of(field, solver(SPAN / n), span), exact) for n in (40, 80, 160)]
    observed = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert observed == pytest.approx([order, order], abs=0.15)


@pytest.mark.parametrize(("solver", "order"), ORDERS)
def test_morse_molecule(solver, order):
    field = MorseField()
    exact = end_of(field, ACCURATE)
    few = 10 if solver is BlanesMoan else 40  # its error at 80 steps is that of the accurate solution
    errors = [distance(end_of(field, solver(SPAN / n)), exact) for n in (few, 2 * few)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(("solver", "order"), [(Midpoint, 2), (RK4, 4)])
@pytest.mark.parametrize("span", [SPAN, -SPAN])
def test_friction(solver, order, span):
    field = DampedField()
    exact = field.exact(triangle(), span)
    errors = [distance(end_of(field, solver(SPAN / n), span), exact) for n in (40, 80)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(("solver", "order"), ORDERS)
def test_the_order_holds_between_the_steps_too(solver, order):
    field = HarmonicField()
    times = torch.tensor([0.0, 3.1415, SPAN], dtype=torch.float64)
    exact = field.exact(triangle(), float(times[1]))
    errors = []
    for n in (60, 120):
        with torch.no_grad():
            solution = solve(field, triangle(), times, solver(SPAN / n))
        errors.append(distance(PhaseState(solution.positions[1], solution.velocities[1]), exact))
    assert math.log2(errors[0] / errors[1]) > order - 0.4


@pytest.mark.parametrize("field", [HarmonicField(), MorseField()])
def test_the_error_of_dopri5_follows_its_tolerance(field):
    exact = end_of(field, ACCURATE)
    errors = [distance(end_of(field, Dopri5(rtol=rtol, atol=rtol)), exact) for rtol in (1e-4, 1e-6, 1e-8)]
    for error, rtol in zip(errors, (1e-4, 1e-6, 1e-8), strict=True):
        assert error < 50 * rtol
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
