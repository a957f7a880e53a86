from __future__ import annotations

import torch
from analytic import MorseField, triangle
from torchdiffeq import odeint
from torchdiffeq._impl.odeint import SOLVERS

from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.ode.verlet import VELOCITY_VERLET, VelocityVerletSolver
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


def test_is_known_to_torchdiffeq_by_name():
    field, state = MorseField(), triangle()
    times = torch.linspace(0.0, 5.0, 11, dtype=torch.float64)

    def rhs(_time, pair):
        return pair[1], field(PhaseState(*pair))

    assert SOLVERS[VELOCITY_VERLET] is VelocityVerletSolver
    with torch.no_grad():
        positions, _ = odeint(
            rhs, (state.positions, state.velocities), times, method=VELOCITY_VERLET, options={"step_size": 0.5}
        )
        ours = solve(field, state, times, VelocityVerlet(0.5))
    torch.testing.assert_close(positions, ours.positions, rtol=0, atol=1e-13)


def test_takes_single_steps_for_torchdiffeqs_event_search():
    field, state = MorseField(), triangle()
    start = torch.cat((state.positions.reshape(-1), state.velocities.reshape(-1)))
    solver = VelocityVerletSolver(lambda time, y: y, start, atol=1e-9, step_size=0.5)

    def rhs(_time, y):
        pair = [half.reshape(state.positions.shape) for half in y.chunk(2)]
        return torch.cat((pair[1].reshape(-1), field(PhaseState(*pair)).reshape(-1)))

    time, step = torch.tensor(0.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    with torch.no_grad():
        increment, _ = solver._step_func(rhs, time, step, time + step, start)
        expected = by_hand(field, state, 0.5, 1)[1]
    torch.testing.assert_close((start + increment)[:18].reshape(2, 3, 3), expected.positions, rtol=0, atol=1e-14)


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
