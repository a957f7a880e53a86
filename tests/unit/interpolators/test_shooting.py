"""Velocities from positions alone: exact where the motion is, thermal where it tells nothing, in blocks that agree."""

from __future__ import annotations

import math

import pytest
import torch
from analytic import BrokenField, DampedField, HarmonicField, MorseField, triangle

from neuralmd.errors import ConfigError, DataError, SolverError
from neuralmd.interpolators.shooting import Dynamics, Shooting, infer_velocities
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, VelocityVerlet
from neuralmd.system import PhaseState, System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY

UNIT_MASSES = System(
    atomic_numbers=System.from_atomic_numbers([1, 1, 1]).atomic_numbers, masses=torch.ones(3).double().numpy()
)
VERLET = VelocityVerlet(0.25)
PERIOD = 2 * math.pi / 0.6


def motion(field, frames: int, gap: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions and velocities of three atoms along an exact solution of Verlet's."""
    start = triangle(batch=1, seed=seed)
    times = gap * torch.arange(frames, dtype=torch.float64)
    with torch.no_grad():
        solution = solve(field, start, times, VERLET)
    return solution.positions[:, 0], solution.velocities[:, 0]


def thermal(temperature: float) -> float:
    return math.sqrt(BOLTZMANN * temperature / KINETIC_ENERGY)


@pytest.mark.parametrize("gap", [1.0, 3.0, 6.0])
def test_an_anharmonic_motion_is_found_exactly(gap):
    field = MorseField()
    positions, velocities = motion(field, 12, gap)
    found = infer_velocities(Dynamics(UNIT_MASSES, field, VERLET), positions, gap)
    torch.testing.assert_close(found.velocities, velocities, rtol=0.0, atol=1e-6)
    assert bool(found.converged.all())
    assert float(found.blind.max()) < 1e-3


def test_a_field_in_float32_is_enough():
    positions, velocities = motion(MorseField(), 12, 3.0)
    dynamics = Dynamics(UNIT_MASSES, MorseField(dtype=torch.float32), VERLET)
    found = infer_velocities(dynamics, positions, 3.0)
    torch.testing.assert_close(found.velocities, velocities, rtol=0.0, atol=1e-5)


def test_friction_is_known_to_the_flow_though_not_to_its_linearisation():
    start = triangle(batch=1)
    frames = [DampedField().exact(start, 2.0 * index) for index in range(20)]
    positions = torch.cat([frame.positions for frame in frames]).detach()
    velocities = torch.cat([frame.velocities for frame in frames]).detach()
    found = infer_velocities(Dynamics(UNIT_MASSES, DampedField(), RK4(0.25)), positions, 2.0)
    torch.testing.assert_close(found.velocities, velocities, rtol=0.0, atol=1e-4)


def springs(part: float, frames: int = 10) -> torch.Tensor:
    """Positions of atoms on springs, near the origin, this part of a period from frame to frame."""
    near = triangle(batch=1)
    start = PhaseState(0.02 * near.positions, 0.2 * near.velocities)
    return torch.cat([HarmonicField(0.6).exact(start, part * PERIOD * index).positions for index in range(frames)])


@pytest.mark.parametrize("halves", [1, 2])
def test_a_gap_of_half_a_period_leaves_the_prior(halves):
    dynamics = Dynamics(UNIT_MASSES, HarmonicField(0.6), VelocityVerlet(0.1))
    found = infer_velocities(dynamics, springs(halves / 2), halves * PERIOD / 2, Shooting(300.0, noise=1e-8))
    torch.testing.assert_close(found.spread, torch.full_like(found.spread, thermal(300.0)), rtol=0.02, atol=0.0)
    assert float(found.blind.min()) > 0.95
    expected = torch.full_like(found.wavenumber, 33356.41 / PERIOD)
    torch.testing.assert_close(found.wavenumber, expected, rtol=0.01, atol=0.0)
    assert bool(found.converged.all())


def test_the_spread_grows_towards_half_a_period():
    dynamics = Dynamics(UNIT_MASSES, HarmonicField(0.6), VelocityVerlet(0.1))
    how = Shooting(300.0, noise=1e-8)
    parts = (0.25, 0.4, 0.45, 0.48, 0.5)
    spreads = [float(infer_velocities(dynamics, springs(part), part * PERIOD, how).spread.mean()) for part in parts]
    assert spreads == sorted(spreads)
    assert spreads[0] < 0.02 * thermal(300.0)


def test_blocks_do_not_show():
    field = MorseField()
    positions = motion(field, 100, 3.0)[0]
    noisy = positions + 1e-4 * torch.randn(positions.shape, generator=torch.Generator().manual_seed(0)).double()
    dynamics = Dynamics(UNIT_MASSES, field, VERLET)
    whole, half = infer_velocities(dynamics, noisy, 3.0), infer_velocities(dynamics, noisy[30:], 3.0)
    # Two blocks, cut at frame 50, against one that begins at frame 30
    apart = (whole.velocities[38:] - half.velocities[8:]) / whole.spread[38:]
    assert float(apart.abs().max()) < 0.1
    assert len(whole.velocities) == 100
    seen: list[int] = []
    infer_velocities(dynamics, positions, 3.0, advance=seen.append)
    assert seen == [50, 100]


def test_where_no_gap_can_be_solved_the_spline_stays_with_a_spread_that_says_so():
    # Free flight into the region where BrokenField is NaN: no gap from frame 7 on can be solved.
    positions = (0.25 * torch.arange(12, dtype=torch.float64) - 0.75).reshape(-1, 1, 1).expand(-1, 3, 3)
    found = infer_velocities(Dynamics(UNIT_MASSES, BrokenField(), VERLET), positions, 1.0, Shooting(300.0))
    torch.testing.assert_close(found.velocities, torch.full_like(positions, 0.25))
    assert found.converged.tolist() == [index <= 7 for index in range(12)]
    assert float(found.spread[:7].max()) < 1e-3
    assert float(found.spread[8:].min()) > 0.25
    assert found.blind[8:].tolist() == [1.0] * 4


def test_a_field_that_no_gap_can_be_solved_with_is_an_error():
    positions = torch.full((4, 3, 3), 2.0, dtype=torch.float64)
    with pytest.raises(SolverError):
        infer_velocities(Dynamics(UNIT_MASSES, BrokenField(), VERLET), positions, 1.0)
    with pytest.raises(SolverError):
        infer_velocities(Dynamics(UNIT_MASSES, BrokenField(), VERLET), positions[:2], 1.0)


def test_two_frames_are_enough():
    field = MorseField()
    positions, velocities = motion(field, 2, 2.0)
    found = infer_velocities(Dynamics(UNIT_MASSES, field, VERLET), positions, 2.0)
    assert found.velocities.shape == (2, 3, 3)
    torch.testing.assert_close(found.velocities, velocities, rtol=0.0, atol=5e-3)


def test_atoms_at_rest_stay_there():
    positions = motion(MorseField(), 2, 1.0)[0][:1].expand(5, -1, -1)
    still = HarmonicField(0.0)
    found = infer_velocities(Dynamics(UNIT_MASSES, still, VERLET), positions, 1.0)
    torch.testing.assert_close(found.velocities, torch.zeros_like(positions))


def test_what_cannot_be_inferred_from_is_refused():
    dynamics = Dynamics(UNIT_MASSES, MorseField(), VERLET)
    x = triangle(batch=3).positions
    with pytest.raises(DataError, match="at least two frames"):
        infer_velocities(dynamics, x[:1], 1.0)
    with pytest.raises(DataError, match="NaN or infinite"):
        infer_velocities(dynamics, x * torch.nan, 1.0)
    for wrong in ({"temperature": 0.0}, {"noise": -1.0}, {"iterations": 0}, {"piece": math.inf}):
        with pytest.raises(ConfigError, match="must be positive"):
            Shooting(**wrong)


def test_the_state_of_other_frames_plays_no_part():
    field = MorseField()
    positions, _ = motion(field, 6, 2.0)
    found = infer_velocities(Dynamics(UNIT_MASSES, field, VERLET), positions, 2.0)
    ended = solve(field, PhaseState(positions[:-1], found.velocities[:-1]), torch.tensor([0.0, 2.0]), VERLET)
    torch.testing.assert_close(ended.positions[-1], positions[1:], rtol=0.0, atol=1e-6)
