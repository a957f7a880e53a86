from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from analytic import HarmonicField, MorseField, triangle

from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import BlanesMoan, VelocityVerlet
from neuralmd.ode.splitting import SRKN6B, VERLET
from neuralmd.system import PhaseState


def by_hand(field: MorseField, state: PhaseState, step: float, steps: int) -> list[PhaseState]:
    x, v = state.positions, state.velocities
    states = [state]
    for _ in range(steps):
        a = field(PhaseState(x, v))
        following = x + step * v + 0.5 * step**2 * a
        v = v + 0.5 * step * (a + field(PhaseState(following, v)))
        x = following
        states.append(PhaseState(x, v))
    return states


def test_is_the_textbook_scheme():
    field, state = MorseField(), triangle()
    with torch.no_grad():
        solution = solve(field, state, torch.linspace(0.0, 5.0, 11, dtype=torch.float64), VelocityVerlet(0.5))
        expected = by_hand(field, state, 0.5, 10)
    for k, each in enumerate(expected):
        torch.testing.assert_close(solution.positions[k], each.positions, rtol=0, atol=1e-14)
        torch.testing.assert_close(solution.velocities[k], each.velocities, rtol=0, atol=1e-14)


def test_keeps_the_recursion_that_derivative_matching_inverts():
    """x(t + h) - 2 x(t) + x(t - h) = h^2 a(x(t)), and v(t) is the central difference."""
    field, step = MorseField(), 0.5
    with torch.no_grad():
        path = solve(field, triangle(), step * torch.arange(11, dtype=torch.float64), VelocityVerlet(step))
        x, v = path.positions, path.velocities
        acceleration = torch.stack([field(PhaseState(*each)) for each in zip(x, v, strict=True)])
    torch.testing.assert_close((x[2:] - 2 * x[1:-1] + x[:-2]) / step**2, acceleration[1:-1], rtol=0, atol=1e-13)
    torch.testing.assert_close((x[2:] - x[:-2]) / (2 * step), v[1:-1], rtol=0, atol=1e-13)


def test_between_steps_it_lies_on_a_smooth_curve():
    field, state = MorseField(), triangle()
    times = torch.linspace(0.0, 5.0, 501, dtype=torch.float64)
    with torch.no_grad():
        fine = solve(field, state, times, VelocityVerlet(0.01))
        coarse = solve(field, state, times, VelocityVerlet(0.25))
    assert coarse.statistics.evaluations == 21
    assert float((fine.positions - coarse.positions).abs().max()) < 2e-3
    jumps = coarse.velocities.diff(dim=0).diff(dim=0).abs().max()  # a kink would show as a jump of the acceleration
    assert float(jumps) < 20 * float(fine.velocities.diff(dim=0).diff(dim=0).abs().max())


@pytest.mark.parametrize("splitting", [VERLET, SRKN6B])
def test_the_coefficients_are_palindromes_that_cover_a_step(splitting):
    for row in (splitting.kicks, splitting.drifts):
        assert row == row[::-1]
        assert sum(row) == pytest.approx(1.0, abs=1e-14)
    assert len(splitting.kicks) == len(splitting.drifts) + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("span", [5.0, -5.0])
@pytest.mark.parametrize("solver", [VelocityVerlet(0.25), BlanesMoan(0.25)])
def test_accelerations_are_the_fields_own_at_each_step(solver, span, dtype):
    field, times = MorseField(dtype=dtype), torch.linspace(0.0, span, 11, dtype=torch.float64)
    with torch.no_grad():
        solution = solve(field, triangle(dtype=dtype), times, solver)
        for x, v, a in zip(solution.positions, solution.velocities, solution.accelerations, strict=True):
            assert torch.equal(a, field(PhaseState(x, v)))


@pytest.mark.parametrize("span", [4.0, -4.0])
@pytest.mark.parametrize("solver", [VelocityVerlet(0.5), BlanesMoan(1.0)])
def test_between_steps_each_curve_is_the_derivative_of_the_one_before(solver, span):
    middle, nudge = span * torch.tensor([0.03, 0.21, 0.48, 0.77, 0.98], dtype=torch.float64), 1e-4 * span
    times = torch.cat((middle.new_zeros(1), torch.stack((middle - nudge, middle, middle + nudge), 1).flatten()))
    times = torch.cat((times, times.new_full((1,), span)))
    with torch.no_grad():
        solution = solve(MorseField(), triangle(), times, solver)
    curves = [solution.positions, solution.velocities, solution.accelerations]
    for curve, rate in pairwise(curves):
        values = curve[1:-1].unflatten(0, (5, 3))
        slopes = (values[:, 2] - values[:, 0]) / (2 * nudge)
        torch.testing.assert_close(rate[1:-1].unflatten(0, (5, 3))[:, 1], slopes, rtol=0, atol=1e-7)


def test_float32_states_are_summed_up_in_float64():
    """So that 5000 steps lose no more of a straight flight than its two ends do."""
    state = PhaseState(torch.full((1, 1, 3), 3.0), torch.full((1, 1, 3), 1e-3))
    with torch.no_grad():
        solution = solve(HarmonicField(0.0, torch.float32), state, torch.tensor([0.0, 1000.0]), VelocityVerlet(0.2))
    torch.testing.assert_close(solution.positions[-1], torch.full((1, 1, 3), 4.0), rtol=0, atol=2e-7)
