"""Radial distribution functions of structures whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.evaluation.radial import radial_difference, radial_distribution
from neuralmd.system import System


def trajectory_of(*frames: Atoms) -> Trajectory:
    first = frames[0]
    system = System(
        np.asarray(first.numbers, dtype=np.int64), first.get_masses(), np.asarray(first.cell[:]), np.asarray(first.pbc)
    )
    return Trajectory.uniform(system, np.array([frame.positions for frame in frames]), 0.5)


def test_the_neighbours_of_benzene_in_vacuum() -> None:
    """n_ab counts b atoms around an a atom, and 4 pi r^2 g_ab is n_ab."""
    benzene = molecule("C6H6")
    found = radial_distribution(trajectory_of(benzene, benzene))
    assert list(found.counts) == ["C-C", "C-H", "H-H"]
    around = {pair: counts.sum() * found.width for pair, counts in found.counts.items()}
    assert around == pytest.approx({"C-C": 5, "C-H": 6, "H-H": 5})
    near = found.radii < 1.5
    assert (found.counts["C-C"] * near).sum() * found.width == pytest.approx(2)
    assert (found.counts["C-H"] * near).sum() * found.width == pytest.approx(1)
    bond = found.radii[found.g("C-H").argmax()]
    assert bond == pytest.approx(benzene.get_distance(0, 6), abs=0.01)
    shells = 4 * np.pi * found.radii**2 * found.g("H-H")
    assert shells.sum() * found.width == pytest.approx(5)
    assert found.cutoff == pytest.approx(benzene.get_distance(6, 9), abs=found.width)


def test_an_ideal_gas_has_a_g_of_one() -> None:
    generator = np.random.default_rng(0)
    cell = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [1.0, -2.0, 10.0]])
    frames = [Atoms("Ar20Ne20", generator.uniform(-3, 4, size=(40, 3)) @ cell, cell=cell, pbc=True) for _ in range(200)]
    found = radial_distribution(trajectory_of(*frames), width=0.2)
    assert found.cutoff <= 4.0
    for pair in ("Ar-Ar", "Ar-Ne", "Ne-Ne"):
        assert found.g(pair)[10:] == pytest.approx(1.0, abs=0.1)


def test_the_shells_of_copper() -> None:
    copper = bulk("Cu", cubic=True).repeat(3)
    found = radial_distribution(trajectory_of(copper), cutoff=4.5)
    inside = found.counts["Cu-Cu"].cumsum() * found.width
    assert inside[found.radii < 3.0][-1] == pytest.approx(12)
    assert inside[found.radii < 4.0][-1] == pytest.approx(18)
    with pytest.raises(DataError, match="too far"):
        radial_distribution(trajectory_of(copper), cutoff=6.0)


def test_a_chain_that_is_periodic_along_one_axis() -> None:
    chain = Atoms("HF", [[0.1, 0, 0], [4.3, 0, 0]], cell=[5.0, 0, 0], pbc=[True, False, False])
    found = radial_distribution(trajectory_of(chain))
    assert found.radii[found.counts["F-H"].argmax()] == pytest.approx(0.8, abs=0.02)
    assert not found.periodic


def test_differences() -> None:
    short, long = molecule("H2"), molecule("H2")
    long.set_distance(0, 1, 1.5)
    truth = radial_distribution(trajectory_of(short, long))
    same = radial_distribution(trajectory_of(long, short), cutoff=truth.cutoff)
    half = radial_distribution(trajectory_of(long, long), cutoff=truth.cutoff)
    assert radial_difference(same, truth) == {"H-H": 0.0}
    assert radial_difference(half, truth) == {"H-H": pytest.approx(1.0)}
    with pytest.raises(DataError, match="other pairs or bins"):
        radial_difference(radial_distribution(trajectory_of(short)), truth)


def test_an_atom_alone_has_none() -> None:
    with pytest.raises(DataError, match="two atoms"):
        radial_distribution(trajectory_of(Atoms("Ar", [[0.0, 0.0, 0.0]])))
