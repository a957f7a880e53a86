from __future__ import annotations

import pytest
import torch
from analytic import MorseField, triangle
from torchdiffeq import odeint
from torchdiffeq._impl.odeint import SOLVERS

from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import BlanesMoan, VelocityVerlet
from neuralmd.ode.torchdiffeq_methods import BlanesMoanSolver, VelocityVerletSolver
from neuralmd.system import PhaseState


@pytest.mark.parametrize(("solver", "known"), [(VelocityVerlet, VelocityVerletSolver), (BlanesMoan, BlanesMoanSolver)])
@pytest.mark.parametrize("queries", [11, 8])
def test_is_known_to_torchdiffeq_by_name(solver, known, queries):
    field, state = MorseField(), triangle()
    times = torch.linspace(0.0, 5.0, queries, dtype=torch.float64)

    def rhs(_time, pair):
        return pair[1], field(PhaseState(*pair))

    assert SOLVERS[solver.name] is known
    with torch.no_grad():
        start = (state.positions, state.velocities)
        positions, velocities = odeint(rhs, start, times, method=solver.name, options={"step_size": 0.5})
        ours = solve(field, state, times, solver(0.5))
    torch.testing.assert_close(positions, ours.positions, rtol=0, atol=1e-13)
    torch.testing.assert_close(velocities, ours.velocities, rtol=0, atol=1e-13)


def test_takes_single_steps_for_torchdiffeqs_event_search():
    field, state = MorseField(), triangle()
    start = torch.cat((state.positions.reshape(-1), state.velocities.reshape(-1)))
    solver = VelocityVerletSolver(lambda time, y: y, start, atol=1e-9, step_size=0.5)

    def rhs(_time, y):
        pair = [half.reshape(state.positions.shape) for half in y.chunk(2)]
        return torch.cat((pair[1].reshape(-1), field(PhaseState(*pair)).reshape(-1)))

    time, step = torch.tensor(0.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    with torch.no_grad():
        increment, slope = solver._step_func(rhs, time, step, time + step, start)
        expected = solve(field, state, torch.stack((time, step)), VelocityVerlet(0.5)).positions[1]
    torch.testing.assert_close((start + increment)[:18].reshape(2, 3, 3), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(slope[:18], state.velocities.reshape(-1), rtol=0, atol=0)
