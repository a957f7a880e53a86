"""Bonds, their lengths and angles, distances between distributions, temperatures of elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from neuralmd.data.formats import read
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.evaluation.distributions import Topology, temperature_per_element, wasserstein
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY


def still(atoms: Atoms, frames: int = 4) -> Trajectory:
    system = System(
        np.asarray(atoms.numbers, dtype=np.int64), atoms.get_masses(), np.asarray(atoms.cell[:]), np.asarray(atoms.pbc)
    )
    return Trajectory.uniform(system, np.repeat(atoms.positions[None], frames, axis=0), 0.5)


def test_the_bonds_and_angles_of_ethanol() -> None:
    ethanol = still(molecule("CH3CH2OH"))
    topology = Topology.of(ethanol)
    lengths, angles = topology.lengths(ethanol.positions), topology.angles(ethanol.positions)
    assert {kind: len(samples) for kind, samples in lengths.items()} == {"C-C": 4, "C-H": 20, "C-O": 4, "H-O": 4}
    assert lengths["H-O"] == pytest.approx(0.97, abs=0.02)
    assert sum(len(samples) for samples in angles.values()) == 4 * (6 + 6 + 1)
    assert angles["C-O-H"] == pytest.approx(107, abs=3)


def test_bonds_do_not_mind_that_the_molecule_tumbles() -> None:
    """The mean structure of a molecule that turns is a point, where every atom is bound to every other."""
    atoms = molecule("H2O")
    frames = []
    for turn in range(36):
        turned = atoms.copy()
        turned.rotate(10 * turn, (1, 2, 3), center="COM")
        frames.append(turned.positions)
    topology = Topology.of(Trajectory.uniform(still(atoms).system, np.array(frames), 0.5))
    assert topology.bonds.tolist() == [[0, 1], [0, 2]]
    assert topology.angles(np.array(frames))["H-O-H"] == pytest.approx(atoms.get_angle(1, 0, 2))


def test_a_bond_across_the_cell() -> None:
    atoms = Atoms("HF", [[0.1, 0, 0], [9.3, 0, 0]], cell=[10, 10, 10], pbc=True)
    trajectory = still(atoms)
    topology = Topology.of(trajectory)
    assert topology.lengths(trajectory.positions)["F-H"] == pytest.approx(0.8)


def test_an_atom_alone_has_no_bonds() -> None:
    argon = still(Atoms("Ar", [[0.0, 0.0, 0.0]]))
    topology = Topology.of(argon)
    assert topology.lengths(argon.positions) == {}
    assert topology.angles(argon.positions) == {}


def test_distances_between_distributions() -> None:
    samples = np.random.default_rng(0).normal(size=1000)
    assert wasserstein({"C-H": samples + 0.3}, {"C-H": samples})["C-H"] == pytest.approx(0.3)
    assert wasserstein({"C-H": samples[::-1]}, {"C-H": samples})["C-H"] == pytest.approx(0.0)
    with pytest.raises(DataError, match="C-H"):
        wasserstein({}, {"C-H": samples})


def test_in_equilibrium_all_elements_have_the_temperature() -> None:
    """Maxwell's velocities without translation and rotation: 3N - 6 degrees of freedom, shared out to the atoms."""
    kelvin, generator = 400.0, np.random.default_rng(2)
    atoms = molecule("CH3CH2OH")
    masses = atoms.get_masses()
    centred = atoms.positions - atoms.get_center_of_mass()
    rigid = [np.broadcast_to(axis, centred.shape) for axis in np.eye(3)]
    rigid += [np.cross(axis, centred) for axis in np.eye(3)]
    basis = np.linalg.qr(np.stack([(np.sqrt(masses)[:, None] * motion).ravel() for motion in rigid], axis=1))[0]
    weighted = generator.normal(size=(20_000, 27))
    weighted -= weighted @ basis @ basis.T
    speed = np.sqrt(BOLTZMANN * kelvin / KINETIC_ENERGY / masses)[:, None]
    frames = still(atoms, 20_000)
    cold = Trajectory.uniform(frames.system, frames.positions, 0.5, velocities=weighted.reshape(-1, 9, 3) * speed)
    assert temperature_per_element(cold) == pytest.approx({"C": 400, "H": 400, "O": 400}, rel=0.02)
    turning = Trajectory.uniform(
        frames.system, frames.positions, 0.5, velocities=generator.normal(size=(20_000, 9, 3)) * speed
    )
    assert temperature_per_element(turning) == pytest.approx({"C": 400, "H": 400, "O": 400}, rel=0.02)


def test_one_atom_and_no_velocities() -> None:
    argon = still(Atoms("Ar", [[0.0, 0.0, 0.0]]))
    with pytest.raises(DataError, match="central differences"):
        temperature_per_element(argon)
    moving = Trajectory.uniform(argon.system, argon.positions, 0.5, velocities=np.full((4, 1, 3), 0.01))
    expected = KINETIC_ENERGY * argon.system.masses[0] * 1e-4 / BOLTZMANN
    assert temperature_per_element(moving) == pytest.approx({"Ar": expected})


def test_real_malonaldehyde(shared_data: Path) -> None:
    whole = read(shared_data / "keto_malondialdehyde_sgdml_nve_dt0.2fs.npz")
    part = whole.slice(0, 1000)
    lengths = Topology.of(part).lengths(part.positions)
    assert {kind: len(samples) // 1000 for kind, samples in lengths.items()} == {"C-C": 2, "C-H": 4, "C-O": 2}
    assert lengths["C-O"].mean() == pytest.approx(1.21, abs=0.02)
