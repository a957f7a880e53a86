from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from analytic import BrokenField, DampedField, ExplodingField, HarmonicField, MorseField, triangle

from neuralmd.errors import ConfigError, SolverError
from neuralmd.ode.adjoints import ContinuousAdjoint, ReversibleAdjoint
from neuralmd.ode.solve import Statistics, solve
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Midpoint, VelocityVerlet
from neuralmd.system import PhaseState

ALL = [VelocityVerlet(0.25), BlanesMoan(0.25), RK4(0.25), Midpoint(0.25), Dopri5()]
every = pytest.mark.parametrize("solver", ALL, ids=lambda solver: type(solver).__name__)


def times_of(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@every
def test_starts_at_the_state_itself(solver):
    state = triangle()
    for times in (times_of(1.0, 2.0, 3.5), times_of(3.5, 2.0, 1.0)):
        solution = solve(HarmonicField(), state, times, solver)
        assert torch.equal(solution.positions[0], state.positions)
        assert torch.equal(solution.velocities[0], state.velocities)
        assert solution.positions.shape == solution.velocities.shape == (3, 2, 3, 3)
        assert torch.equal(solution.times, times)


@every
def test_a_single_time_is_the_state(solver):
    solution = solve(HarmonicField(), triangle(), times_of(5.0), solver)
    assert torch.equal(solution.positions[0], triangle().positions)
    assert solution.statistics == Statistics(0, 0, 0)


@every
@pytest.mark.parametrize("adjoint", [None, ContinuousAdjoint("rk4", step=0.5), ContinuousAdjoint("dopri5")])
def test_single_precision_stays_single(solver, adjoint):
    field = MorseField(dtype=torch.float32)
    adjoined = type(solver)(**{**vars(solver), "adjoint": adjoint})
    solution = solve(field, triangle(dtype=torch.float32), torch.linspace(0, 4, 9), adjoined)
    assert solution.positions.dtype == solution.velocities.dtype == torch.float32
    solution.positions.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in field.parameters())


@pytest.mark.parametrize(
    ("solver", "evaluations"),
    [(VelocityVerlet(0.25), 17), (BlanesMoan(0.25), 97), (RK4(0.25), 64), (Midpoint(0.25), 32)],
)
def test_counts_of_fixed_steps(solver, evaluations):
    statistics = solve(HarmonicField(), triangle(), times_of(0.0, 1.0, 4.0), solver).statistics
    assert statistics == Statistics(evaluations, accepted=16, rejected=0)


def test_the_step_is_an_upper_bound():
    assert solve(HarmonicField(), triangle(), times_of(0.0, 1.0), VelocityVerlet(0.3)).statistics.accepted == 4


def test_single_precision_times_take_no_step_more():
    times = 0.1 * torch.arange(21, dtype=torch.float32)
    solution = solve(HarmonicField(), triangle(), times, VelocityVerlet(0.1))
    assert solution.statistics == Statistics(21, accepted=20, rejected=0)
    assert solve(HarmonicField(), triangle(), times, RK4(0.1)).statistics.evaluations == 80


def test_counts_of_adaptive_steps():
    times, state = times_of(0.0, 100.0), PhaseState(0.1 * triangle().positions, triangle().velocities)
    statistics = solve(HarmonicField(), state, times, Dopri5(1e-6, 1e-7)).statistics
    assert statistics.accepted > 50
    assert statistics.rejected > 0
    # two to choose the first step, six for each step tried
    assert statistics.evaluations == 2 + 6 * (statistics.accepted + statistics.rejected)


@every
def test_off_grid_times_do_not_move_the_others(solver):
    state = triangle()
    alone = solve(MorseField(), state, times_of(0.0, 2.0, 4.0), solver)
    with_others = solve(MorseField(), state, times_of(0.0, 0.111, 2.0, 3.3, 4.0), solver)
    torch.testing.assert_close(with_others.positions[[0, 2, 4]], alone.positions, rtol=0, atol=1e-14)


@every
@pytest.mark.parametrize("span", [4.0, -4.0])
def test_a_free_particle_flies_straight(solver, span):
    field, state = HarmonicField(0.0), triangle()
    with torch.no_grad():
        solution = solve(field, state, times_of(0.0, 0.3 * span, span), solver)
    for k, time in enumerate((0.0, 0.3 * span, span)):
        torch.testing.assert_close(solution.positions[k], state.positions + time * state.velocities, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", ALL[:2])
def test_a_splitting_method_refuses_a_field_with_friction(solver):
    with pytest.raises(SolverError, match=rf"{solver.name} .* DampedField reads velocities too: use rk4"):
        solve(DampedField(), triangle(), times_of(0.0, 1.0), solver)


@pytest.mark.parametrize("solver", ALL[2:])
def test_others_refuse_an_adjoint_that_undoes_their_steps(solver):
    wrong = replace(solver)
    object.__setattr__(wrong, "adjoint", ReversibleAdjoint())  # past the type checker, as a user's script can be
    with pytest.raises(SolverError, match=f"the steps of {solver.name} cannot be undone"):
        solve(MorseField(), triangle(), times_of(0.0, 1.0), wrong)


@every
@pytest.mark.parametrize("values", [(0.0, 0.0), (0.0, 1.0, 0.5), (0.0, float("nan")), (0.0, float("inf"))])
def test_refuses_times_that_turn(solver, values):
    with pytest.raises(SolverError, match="strictly"):
        solve(HarmonicField(), triangle(), times_of(*values), solver)


@every
def test_refuses_no_times(solver):
    with pytest.raises(SolverError, match="at least one time"):
        solve(HarmonicField(), triangle(), times_of(), solver)


@every
def test_refuses_a_state_that_is_not_finite(solver):
    state = PhaseState(torch.full((1, 2, 3), torch.nan), torch.zeros(1, 2, 3))
    with pytest.raises(SolverError, match="finite state"):
        solve(HarmonicField(), state, times_of(0.0, 1.0), solver)


@pytest.mark.parametrize("solver", ALL[:4])
def test_divergence_at_fixed_steps_is_a_sentence(solver):
    positions = torch.tensor([[[2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]], dtype=torch.float64)
    state = PhaseState(positions, torch.zeros_like(positions))
    with pytest.raises(SolverError, match=r"diverged before t = \d+ fs in 1 of 2 configurations: use a smaller step"):
        solve(ExplodingField(), state, torch.arange(0.0, 40.0, dtype=torch.float64), solver)


EXPLOSION = PhaseState(torch.full((1, 1, 3), 2.0, dtype=torch.float64), torch.zeros(1, 1, 3, dtype=torch.float64))


def test_a_step_that_vanishes_is_a_sentence():
    with pytest.raises(SolverError, match=r"dopri5 failed at t = 0\.\d+ fs.*(loosen|finite)"):
        solve(ExplodingField(), EXPLOSION, times_of(0.0, 40.0), Dopri5())


def test_a_failure_backward_in_time_names_the_true_time():
    with pytest.raises(SolverError, match=r"failed at t = 39\.\d+ fs"):
        solve(ExplodingField(), EXPLOSION, times_of(40.0, 0.0), Dopri5())


def test_a_field_that_gives_nan_is_a_sentence():
    state = PhaseState(torch.zeros(1, 1, 3, dtype=torch.float64), torch.ones(1, 1, 3, dtype=torch.float64))
    with pytest.raises(SolverError, match=r"dopri5 failed at t = .*not finite"):
        solve(BrokenField(), state, times_of(0.0, 40.0), Dopri5())


def test_too_many_steps_is_a_sentence():
    with pytest.raises(SolverError, match=r"20 steps were not enough; loosen rtol and atol, or raise max_steps"):
        solve(HarmonicField(), triangle(), times_of(0.0, 1000.0), Dopri5(max_steps=20))


def test_max_steps_counts_those_between_all_query_times():
    times = torch.linspace(0.0, 1000.0, 500, dtype=torch.float64)
    with pytest.raises(SolverError, match="20 steps"):
        solve(HarmonicField(), triangle(), times, Dopri5(max_steps=20))


def test_a_failure_in_the_backward_pass_is_a_sentence():
    solver = RK4(0.1, adjoint=ContinuousAdjoint("dopri5", max_steps=3))
    solution = solve(HarmonicField(), triangle(), times_of(0.0, 50.0), solver)
    with pytest.raises(SolverError, match=r"the adjoint's dopri5 failed at t = .* 3 steps were not enough"):
        solution.positions.sum().backward()


@every
@pytest.mark.parametrize(
    "adjoint", [ContinuousAdjoint("rk4"), ContinuousAdjoint("midpoint", step=0.1), ContinuousAdjoint("dopri5")]
)
def test_no_combination_of_solver_and_adjoint_warns(solver, adjoint):
    adjoined = type(solver)(**{**vars(solver), "adjoint": adjoint})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(MorseField(), triangle(), times_of(0.0, 1.0), adjoined).positions.sum().backward()


def test_statistics_leave_the_backward_pass_out():
    solver = VelocityVerlet(0.25, adjoint=ContinuousAdjoint("rk4", step=0.25))
    solution = solve(HarmonicField(), triangle(), times_of(0.0, 1.0), solver)
    solution.positions.sum().backward()
    assert solution.statistics.evaluations == 5


def test_bad_settings_are_refused():
    for make in (VelocityVerlet, BlanesMoan, RK4, Midpoint):
        for step in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ConfigError, match="positive and finite"):
                make(step)
    with pytest.raises(ConfigError, match="rtol"):
        Dopri5(rtol=0.0)
    with pytest.raises(ConfigError, match="max_steps"):
        Dopri5(max_steps=0)
    with pytest.raises(ConfigError, match="chooses its own steps"):
        ContinuousAdjoint("dopri5", step=0.1)
    with pytest.raises(ConfigError, match="step"):
        ContinuousAdjoint("rk4", step=-0.1)
    with pytest.raises(ConfigError, match="0 or more"):
        ReversibleAdjoint(-1)
