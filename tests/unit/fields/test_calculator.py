"""Any ASE calculator as a field: its own forces, ASE's own trajectory, and no gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorError
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet as AseVerlet

from neuralmd.data.engines import calculator
from neuralmd.data.molecules import molecule
from neuralmd.errors import ConfigError, SolverError
from neuralmd.fields.calculator import CalculatorField
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import PhaseState, System
from neuralmd.units import ACCELERATION, ASE_TIME

WATER = System.from_atomic_numbers([8, 1, 1])


def water() -> Atoms:
    atoms = molecule("H2O")
    atoms.set_masses(WATER.masses)
    rng = np.random.default_rng(0)
    atoms.positions += 0.02 * rng.normal(size=(3, 3))
    atoms.set_velocities(0.02 * ASE_TIME * rng.normal(size=(3, 3)))
    return atoms


def state_of(*configurations: Atoms) -> PhaseState:
    return PhaseState(
        torch.as_tensor(np.stack([atoms.positions for atoms in configurations])),
        torch.as_tensor(np.stack([atoms.get_velocities() / ASE_TIME for atoms in configurations])),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_has_the_forces_that_ase_gives_one_by_one(dtype: torch.dtype) -> None:
    batch = [water() for _ in range(3)]
    for shift, atoms in enumerate(batch):
        atoms.positions[0] += 0.03 * shift
    found = CalculatorField(WATER, EMT())(state_of(*batch).to(dtype))
    assert found.dtype == dtype
    for atoms, accelerations in zip(batch, found, strict=True):
        atoms.calc = EMT()
        expected = atoms.get_forces() * ACCELERATION / atoms.get_masses()[:, None]
        np.testing.assert_allclose(accelerations, expected, rtol=1e-4 if dtype == torch.float32 else 1e-12)


def test_the_forward_solution_is_the_trajectory_of_ase() -> None:
    pytest.importorskip("tblite")
    atoms = water()
    start = state_of(atoms)
    field = CalculatorField.xtb(WATER, "gfn2-xtb")
    path = solve(field, start, 0.5 * torch.arange(21, dtype=torch.float64), VelocityVerlet(0.5))
    atoms.calc = calculator("gfn2-xtb")
    dynamics = AseVerlet(atoms, timestep=0.5 / ASE_TIME)
    for k in range(1, 21):
        dynamics.step()
        np.testing.assert_allclose(path.positions[k, 0], atoms.positions, rtol=0, atol=1e-6)
        np.testing.assert_allclose(path.velocities[k, 0], atoms.get_velocities() / ASE_TIME, rtol=0, atol=1e-6)
    assert np.abs(atoms.positions - start.positions[0].numpy()).max() > 0.02


def test_gradients_are_refused() -> None:
    field, state = CalculatorField(WATER, EMT()), state_of(water())
    assert list(field.parameters()) == []
    wanted = PhaseState(state.positions.requires_grad_(), state.velocities)
    with pytest.raises(SolverError, match="no gradients"):
        field(wanted)
    with torch.no_grad():
        assert bool(field(wanted).isfinite().all())


class Failing(Calculator):
    """Does not converge."""

    implemented_properties = ("energy", "forces")

    def calculate(self, *args: object) -> None:
        raise CalculatorError("SCF not converged")


class EnergyOnly(Calculator):
    """Gives no forces."""

    implemented_properties = ("energy",)


@pytest.mark.parametrize(("engine", "told"), [(Failing(), "SCF not converged"), (EnergyOnly(), "forces")])
def test_a_calculator_that_fails_is_named(engine: Calculator, told: str) -> None:
    with pytest.raises(SolverError, match=told) as caught:
        CalculatorField(WATER, engine)(state_of(water()))
    assert type(engine).__name__ in str(caught.value)


def test_other_methods_are_refused() -> None:
    with pytest.raises(ConfigError, match="gfn2-xtb"):
        CalculatorField.xtb(WATER, "pm6")
