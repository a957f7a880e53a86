from __future__ import annotations

import ase.build
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from neuralmd.data.engines import calculator
from neuralmd.data.thermostats import (
    Bath,
    NoseHooverDynamics,
    degrees_of_freedom,
    dynamics,
    generator_from_json,
    generator_to_json,
    set_rotating,
    thermalise,
)
from neuralmd.units import BOLTZMANN


@pytest.mark.parametrize(("name", "expected"), [("H2", 1), ("H2O", 3), ("CO2", 3), ("C6H6", 30)])
def test_degrees_of_freedom_of_a_free_molecule(name: str, expected: int) -> None:
    assert degrees_of_freedom(ase.build.molecule(name)) == expected


def test_degrees_of_freedom_of_a_periodic_system() -> None:
    assert degrees_of_freedom(ase.build.bulk("Cu", cubic=True)) == 9


@pytest.mark.parametrize("name", ["H2", "CO2", "H2O", "C6H6"])
def test_thermalised_molecules_neither_drift_nor_rotate(name: str) -> None:
    atoms = ase.build.molecule(name)
    thermalise(atoms, 500.0, np.random.default_rng(1))
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-12
    assert np.abs(atoms.get_angular_momentum()).max() < 1e-12
    assert atoms.get_kinetic_energy() > 0


def test_thermalised_kinetic_energy_is_that_of_the_degrees_of_freedom() -> None:
    atoms, generator, energies = ase.build.molecule("H2O"), np.random.default_rng(2), []
    for _ in range(2000):
        thermalise(atoms, 300.0, generator)
        energies.append(atoms.get_kinetic_energy())
    assert np.mean(energies) == pytest.approx(1.5 * BOLTZMANN * 300.0, rel=0.06)


@pytest.mark.parametrize(("name", "axes"), [("H2", 2), ("CO2", 2), ("H2O", 3), ("C6H6", 3)])
def test_the_rotation_that_is_added_is_that_of_a_rigid_rotor(name: str, axes: int) -> None:
    """(1/2) kB T an axis, no drift, and no change of the distances between atoms."""
    generator, energies = np.random.default_rng(4), []
    for _ in range(800):
        atoms = ase.build.molecule(name)
        set_rotating(atoms, 300.0, generator)
        energies.append(atoms.get_kinetic_energy())
    assert np.mean(energies) == pytest.approx(axes / 2 * BOLTZMANN * 300.0, rel=0.12)
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-12
    arms, velocities = atoms.positions - atoms.positions[0], atoms.get_velocities() - atoms.get_velocities()[0]
    assert np.abs((arms * velocities).sum(axis=1)).max() < 1e-12


def test_a_rotation_leaves_the_vibration_as_it_is() -> None:
    atoms = ase.build.molecule("C6H6")
    thermalise(atoms, 500.0, np.random.default_rng(1))
    still, turning = atoms.get_kinetic_energy(), ase.build.molecule("C6H6")
    set_rotating(turning, 400.0, np.random.default_rng(2))
    set_rotating(atoms, 400.0, np.random.default_rng(2))
    assert atoms.get_kinetic_energy() == pytest.approx(still + turning.get_kinetic_energy())
    assert atoms.get_angular_momentum() == pytest.approx(turning.get_angular_momentum())


def test_a_rotating_molecule_has_three_degrees_of_freedom_more() -> None:
    assert degrees_of_freedom(ase.build.molecule("C6H6"), rotates=True) == 33
    assert degrees_of_freedom(ase.build.molecule("H2"), rotates=True) == 3


@pytest.mark.parametrize("ensemble", ["bussi", "nose-hoover"])
def test_a_rotating_cluster_has_the_temperature(ensemble: str) -> None:
    """3N - 3 degrees of freedom share the energy; with 3N - 6 it would be half as hot again."""
    generator = np.random.default_rng(6)
    atoms = Atoms("Cu4", 0.88 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), calculator=EMT())
    thermalise(atoms, 300.0, generator)
    set_rotating(atoms, 300.0, generator)
    integrator = dynamics(atoms, Bath(ensemble, 300.0, 20.0, 4.0, rotates=True), generator, np.zeros((2, 3)))
    energies = []
    for _ in range(1200):
        integrator.step()
        energies.append(atoms.get_kinetic_energy())
    assert np.mean(energies[200:]) == pytest.approx(4.5 * BOLTZMANN * 300.0, rel=0.2)


def test_a_generator_goes_on_where_it_was_saved() -> None:
    generator = np.random.Generator(np.random.PCG64(5))
    generator.standard_normal(7)
    copy = generator_from_json(generator_to_json(generator))
    assert np.array_equal(generator.standard_normal(9), copy.standard_normal(9))
    assert generator.standard_gamma(3.0) == copy.standard_gamma(3.0)


def _nose_hoover(atoms: Atoms, timestep: float) -> NoseHooverDynamics:
    thermalise(atoms, 500.0, np.random.default_rng(3))
    return NoseHooverDynamics(atoms, Bath("nose-hoover", 500.0, 20.0, timestep), np.zeros((2, 3)))


def _spread(timestep: float) -> float:
    """Root mean square change of the conserved energy [eV] over 100 fs."""
    atoms = ase.build.bulk("Cu", cubic=True)
    atoms.calc = EMT()
    integrator = _nose_hoover(atoms, timestep)
    start, energies = integrator.conserved_energy(), []
    for _ in range(round(100 / timestep)):
        integrator.step()
        energies.append(integrator.conserved_energy() - start)
    return float(np.sqrt(np.mean(np.square(energies))))


def test_nose_hoover_conserves_its_energy_to_second_order() -> None:
    coarse, fine = _spread(2.0), _spread(1.0)
    assert fine < 1e-3
    assert 3.0 < coarse / fine < 5.0


def test_nose_hoover_moves_energy_between_water_and_chain() -> None:
    atoms = ase.build.molecule("H2O")
    atoms.calc = calculator("gfn2-xtb")
    integrator = _nose_hoover(atoms, 0.25)
    conserved, total = [], []
    for _ in range(400):
        integrator.step()
        conserved.append(integrator.conserved_energy())
        total.append(atoms.get_total_energy())
    assert np.ptp(conserved) < 0.02 * np.ptp(total)
