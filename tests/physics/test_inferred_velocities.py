"""Inferred velocities of motion with noise: as far from the truth as their spread says."""

from __future__ import annotations

import math

import pytest
import torch
from analytic import MorseField, triangle

from neuralmd.interpolators.shooting import Dynamics, Inferred, infer_velocities
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import PhaseState, System

STEP = 0.25
NOISE = 1e-7
THREE = System(System.from_atomic_numbers([1, 1, 1]).atomic_numbers, torch.ones(3).double().numpy())


def langevin(frames: int, gap: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions and velocities of a molecule whose accelerations have white noise of a known density."""
    generator = torch.Generator().manual_seed(seed)
    field, solver, state = MorseField(), VelocityVerlet(STEP), triangle(batch=1, seed=seed)
    positions, velocities = [state.positions], [state.velocities]
    for _ in range(frames - 1):
        for _ in range(round(gap / STEP)):
            with torch.no_grad():
                after = solve(field, state, torch.tensor([0.0, STEP], dtype=torch.float64), solver)
            kick = math.sqrt(NOISE * STEP) * torch.randn((1, 3, 3), generator=generator, dtype=torch.float64)
            state = PhaseState(after.positions[-1], after.velocities[-1] + kick)
        positions.append(state.positions)
        velocities.append(state.velocities)
    return torch.cat(positions), torch.cat(velocities)


@pytest.fixture(scope="module", params=[2.0, 5.0], ids=lambda gap: f"gap{gap:g}")
def inferred(request: pytest.FixtureRequest) -> tuple[Inferred, torch.Tensor]:
    positions, velocities = langevin(60, request.param, seed=3)
    return infer_velocities(Dynamics(THREE, MorseField(), VelocityVerlet(STEP)), positions, request.param), velocities


def test_nine_of_ten_lie_within_the_bar_of_nine_of_ten(inferred):
    found, velocities = inferred
    inside = (found.velocities - velocities).abs() < 1.645 * found.spread
    assert 0.85 < float(inside.double().mean()) < 0.95


def test_the_noise_is_estimated(inferred):
    found, _ = inferred
    assert 0.6 * NOISE < float(found.noise[0]) < 1.6 * NOISE


def test_a_time_reversed_motion_has_the_opposite_velocities():
    gap = 2.0
    positions = langevin(30, gap, seed=3)[0]
    dynamics = Dynamics(THREE, MorseField(), VelocityVerlet(STEP))
    ahead, back = (infer_velocities(dynamics, x, gap) for x in (positions, positions.flip(0)))
    apart = (ahead.velocities + back.velocities.flip(0)).abs() / ahead.spread
    assert float(apart.max()) < 0.2
