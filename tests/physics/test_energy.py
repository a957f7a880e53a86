"""What an isolated molecule keeps: energy, momentum and angular momentum."""

from __future__ import annotations

import math

import pytest
import torch
from analytic import MorseField, triangle

from neuralmd.ode.solve import Solution, solve
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Midpoint, VelocityVerlet
from neuralmd.system import PhaseState

ALL = [VelocityVerlet(0.2), BlanesMoan(0.4), RK4(0.2), Midpoint(0.2), Dopri5(1e-8, 1e-9)]


def run(solver, span: float = 20.0) -> Solution:
    with torch.no_grad():
        return solve(MorseField(), triangle(), torch.linspace(0.0, span, 41, dtype=torch.float64), solver)


def energies(solution: Solution) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack(
            [
                MorseField().energy(PhaseState(x, v))
                for x, v in zip(solution.positions, solution.velocities, strict=True)
            ]
        )


@pytest.mark.parametrize(("solver", "steps", "order"), [(VelocityVerlet, (0.5, 0.25), 2), (BlanesMoan, (0.5, 0.25), 4)])
def test_the_energy_error_of_a_splitting_method_is_bounded_and_of_its_order(solver, steps, order):
    errors = []
    # Times that both steps meet: between steps, the derivative of the interpolated positions is not the velocity.
    for step in steps:
        energy = energies(run(solver(step), span=200.0))
        drift = (energy - energy[0]).abs() / energy[0]
        early, late = drift[: len(drift) // 2].max(), drift[len(drift) // 2 :].max()
        assert late < 2 * early
        errors.append(float(drift.max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.6)


@pytest.mark.parametrize("solver", [RK4(0.2), Dopri5(1e-8, 1e-9)])
def test_accurate_solvers_keep_the_energy(solver):
    energy = energies(run(solver))
    torch.testing.assert_close(energy, energy[:1].expand_as(energy), rtol=1e-4, atol=0)


@pytest.mark.parametrize("solver", ALL)
def test_momentum_is_kept_to_round_off(solver):
    momentum = run(solver).velocities.sum(dim=2)
    torch.testing.assert_close(momentum, momentum[:1].expand_as(momentum), rtol=0, atol=1e-13)


@pytest.mark.parametrize("solver", [VelocityVerlet(0.5), BlanesMoan(0.5)])
def test_splitting_methods_keep_angular_momentum_to_round_off(solver):
    solution = run(solver)
    angular = torch.linalg.cross(solution.positions, solution.velocities).sum(dim=2)
    torch.testing.assert_close(angular, angular[:1].expand_as(angular), rtol=0, atol=1e-12)
