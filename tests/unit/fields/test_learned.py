"""What the fields that learn read and give: units, options, and which solver takes them."""

from __future__ import annotations

import pytest
import torch
from analytic import triangle
from small_fields import CORNERS, HYDROGENS, LEARNED, friction, hamiltonian, mlp

from neuralmd.data.samples import DerivativeSamples
from neuralmd.errors import DataError, SolverError
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.friction import FrictionField
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, VelocityVerlet
from neuralmd.system import PhaseState, System

TIMES = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)


def samples(system: System, frames: int = 4000) -> DerivativeSamples:
    """Independent normal displacements from the triangle, somewhere in space."""
    torch.manual_seed(0)
    shape = (frames, system.atoms, 3)
    spread = torch.tensor([0.1, 0.1, 0.02], dtype=torch.float64)[:, None]
    noise = spread * torch.randn(shape, dtype=torch.float64)
    positions = CORNERS + noise + torch.randn(frames, 1, 3, dtype=torch.float64)
    return DerivativeSamples(positions, 0.3 * noise, 0.02 * noise)


def test_statistics_are_of_the_motion_about_the_centre_of_mass_and_per_element() -> None:
    system = System.from_atomic_numbers([1, 1, 8])
    found = MotionStatistics.of(samples(system), system)
    masses = torch.as_tensor(system.masses)
    expected = CORNERS.double() - (masses[:, None] * CORNERS).sum(0) / masses.sum()
    torch.testing.assert_close(found.structure, expected, rtol=0, atol=0.01)
    assert found.displacement[0] == found.displacement[1] != found.displacement[2]
    assert float(found.displacement[0]) == pytest.approx(0.1, rel=0.1)
    torch.testing.assert_close(found.speed, 15 * found.acceleration)
    assert float(found.speed[2]) == pytest.approx(0.3 * 0.02, rel=0.05)


def test_a_lone_atom_has_a_unit_of_displacement() -> None:
    system = System.from_atomic_numbers([8])
    vectors = torch.randn(10, 1, 3, dtype=torch.float64)
    assert float(MotionStatistics.of(DerivativeSamples(vectors, vectors, vectors), system).displacement[0]) == 1.0


@pytest.mark.parametrize("inputs", ["phase_space", "positions"])
def test_an_mlp_reads_what_it_is_told_to(inputs: str) -> None:
    field, state = mlp(inputs=inputs), triangle()
    other = field(PhaseState(state.positions, 2 * state.velocities))
    assert torch.equal(other, field(state)) == (inputs == "positions")
    assert field.depends_on_velocity == (inputs == "phase_space")
    shifted = field(PhaseState(state.positions + 5.0, state.velocities))
    torch.testing.assert_close(shifted, field(state), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(LEARNED))
def test_accelerations_come_in_the_calibrated_unit(name: str) -> None:
    field, state = LEARNED[name](torch.float64), triangle(batch=16)
    once = field(state)
    statistics = MotionStatistics(
        CORNERS - CORNERS.mean(0), 0.1 * torch.ones(3), 0.05 * torch.ones(3), 0.01 * torch.ones(3)
    )
    field.calibrate(statistics)
    if name == "with friction":
        state = PhaseState(state.positions, torch.zeros_like(state.velocities))
        once = LEARNED[name](torch.float64)(state)
    # the unit of a Hamiltonian is kT, which the speeds tell
    torch.testing.assert_close(field(state), once * (1.0 if name == "Hamiltonian" else 2.0), rtol=1e-6, atol=1e-12)


def test_positive_friction_only_takes_energy_out() -> None:
    field, state = friction(), triangle()
    torch.manual_seed(3)
    with torch.no_grad():
        field.strength.normal_(std=5.0)
    assert bool((field.gamma > 0).all())
    torch.testing.assert_close(field(state), field.field(state) - field.gamma[:, None] * state.velocities)
    assert not bool(friction(sign="any").gamma.any())
    with torch.no_grad():
        path = solve(field, state, TIMES, RK4(0.1))
        back = solve(field, PhaseState(path.positions[-1], path.velocities[-1]), TIMES.flip(0), RK4(0.1))
    torch.testing.assert_close(back.positions[-1], state.positions, rtol=0, atol=1e-7)


def test_friction_is_per_element() -> None:
    system = System.from_atomic_numbers([1, 1, 8])
    field = FrictionField(EquivariantField(system, 4, 1), system, "any")
    with torch.no_grad():
        field.strength.copy_(torch.tensor([1.0, -2.0]))
    torch.testing.assert_close(field.gamma, torch.tensor([1e-3, 1e-3, -2e-3]))


def test_friction_on_a_learned_velocity_keeps_it() -> None:
    inner = hamiltonian()
    field, state = FrictionField(inner, HYDROGENS).double(), triangle()
    assert field.learns_velocity
    moved, accelerations = field.rates(state)
    assert torch.equal(moved, inner.velocity(state))
    assert torch.equal(moved, field.velocity(state))
    torch.testing.assert_close(accelerations, field(state), rtol=0, atol=0)


@pytest.mark.parametrize("name", list(LEARNED))
def test_verlet_takes_fields_of_positions_only(name: str) -> None:
    field = LEARNED[name](torch.float64)
    if name in ("conservative", "ensemble"):
        solve(field, triangle(), TIMES, VelocityVerlet(0.5))
    else:
        with pytest.raises(SolverError, match="rk4"):
            solve(field, triangle(), TIMES, VelocityVerlet(0.5))
    solve(hamiltonian(kinetic="exact"), triangle(), TIMES, VelocityVerlet(0.5))


def test_verlet_refuses_a_learned_velocity() -> None:
    field = hamiltonian()
    field.depends_on_velocity = False
    with pytest.raises(SolverError, match="learns dx/dt"):
        solve(field, triangle(), TIMES, VelocityVerlet(0.5))


def test_a_cell_without_volume_is_refused() -> None:
    periodic = System(HYDROGENS.atomic_numbers, HYDROGENS.masses, pbc=torch.ones(3, dtype=torch.bool).numpy())
    with pytest.raises(DataError, match="cell vector that is zero"):
        ConservativeField(periodic)
