"""Forward and then backward in time returns to the start."""

from __future__ import annotations

import pytest
import torch
from analytic import DampedField, HarmonicField, MorseField, triangle
from torchdiffeq import odeint

from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Midpoint, VelocityVerlet
from neuralmd.system import PhaseState

TIMES = torch.linspace(3.0, 13.0, 21, dtype=torch.float64)


splitting = pytest.mark.parametrize("solver", [VelocityVerlet(0.5), BlanesMoan(1.0)])


def there_and_back(field, solver, state: PhaseState) -> float:
    with torch.no_grad():
        there = solve(field, state, TIMES, solver)
        end = PhaseState(there.positions[-1], there.velocities[-1])
        back = solve(field, end, TIMES.flip(0), solver)
    change = torch.stack((back.positions.flip(0) - there.positions, back.velocities.flip(0) - there.velocities))
    return float(change.abs().max())


@pytest.mark.parametrize("field", [HarmonicField(), MorseField()])
@splitting
def test_splitting_methods_are_reversible_to_round_off(solver, field):
    assert there_and_back(field, solver, triangle()) < 1e-13


@splitting
def test_splitting_methods_are_reversible_in_float32(solver):
    field = MorseField(dtype=torch.float32)
    assert there_and_back(field, solver, triangle(dtype=torch.float32)) < 1e-5


@pytest.mark.parametrize("field", [HarmonicField(), MorseField(), DampedField()])
@pytest.mark.parametrize(
    ("solver", "tolerance"), [(RK4(0.1), 1e-5), (Midpoint(0.05), 1e-2), (Dopri5(1e-7, 1e-8), 1e-5)]
)
def test_others_are_reversible_to_their_error(field, solver, tolerance):
    assert there_and_back(field, solver, triangle()) < tolerance


@pytest.mark.parametrize("field", [MorseField(), DampedField()])
def test_decreasing_times_give_what_torchdiffeq_gives_for_them(field):
    state = triangle()

    def rhs(_time, pair):
        return pair[1], field(PhaseState(*pair))

    with torch.no_grad():
        ours = solve(field, state, TIMES.flip(0), Dopri5(1e-8, 1e-9))
        positions, velocities = odeint(
            rhs, (state.positions, state.velocities), TIMES.flip(0), rtol=1e-8, atol=1e-9, method="dopri5"
        )
    torch.testing.assert_close(ours.positions, positions, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours.velocities, velocities, rtol=0, atol=1e-10)


@splitting
def test_backward_in_time_is_forward_with_reversed_velocities(solver):
    field, state = MorseField(), triangle()
    with torch.no_grad():
        back = solve(field, state, TIMES.flip(0), solver)
        reversed_ = solve(field, PhaseState(state.positions, -state.velocities), TIMES, solver)
    torch.testing.assert_close(back.positions, reversed_.positions, rtol=0, atol=1e-14)
    torch.testing.assert_close(back.velocities, -reversed_.velocities, rtol=0, atol=1e-14)
