"""A trajectory goes over to ASE and to MDAnalysis, and comes back the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import units

import neuralmd as nmd
from neuralmd.data.trajectory import Trajectory, concatenate
from neuralmd.data.trust import Trust
from neuralmd.errors import DataError


@pytest.fixture
def motion() -> Trajectory:
    """Two segments of water with all that a trajectory can have."""
    rng = np.random.default_rng(0)
    system = replace(
        nmd.System.from_atomic_numbers([8, 1, 1]),
        masses=np.array([15.995, 1.008, 2.014]),
        cell=np.array([[9.0, 0, 0], [1.0, 8.0, 0], [0.5, -1.0, 7.0]]),
        pbc=np.ones(3, dtype=bool),
    )
    positions = np.cumsum(rng.normal(0, 0.3, (12, 3, 3)), axis=0)
    arrays = {"velocities": rng.normal(0, 0.02, (12, 3, 3)), "forces": rng.normal(0, 1, (12, 3, 3))}
    bars = {"error_bars": rng.uniform(0, 1, (12, 3)), "frame_error_bars": rng.uniform(0, 1, 12)}
    trust = Trust.from_arrays({"flags": np.arange(12) % 5, **bars})
    whole = Trajectory.uniform(system, positions, 0.5, energies=rng.normal(0, 1, 12), **arrays)
    whole = replace(whole, metadata={"method": "neural_ode"}, trust=trust)
    return concatenate([whole.slice(0, 6), whole.slice(6, 12)])


def test_there_and_back_by_ase(motion: Trajectory) -> None:
    images = nmd.to_ase(motion)
    assert [atoms.info["segment"] for atoms in images] == [0] * 6 + [1] * 6
    assert images[3].info["time_fs"] == 1.5
    np.testing.assert_array_equal(images[7].positions, motion.positions[7])
    np.testing.assert_allclose(images[7].get_velocities() * units.fs, motion.velocities[7], rtol=1e-7)
    np.testing.assert_array_equal(images[7].get_forces(), motion.forces[7])
    assert images[7].get_potential_energy() == motion.energies[7]
    np.testing.assert_array_equal(images[7].arrays["error_bar_A"], motion.trust.error_bars[7])
    assert images[7].info["flag"] == 2
    back = nmd.trajectory(images)
    assert (back.segments, dict(back.metadata)) == (motion.segments, dict(motion.metadata))
    np.testing.assert_array_equal(back.positions, motion.positions)
    np.testing.assert_array_equal(back.system.masses, motion.system.masses)
    np.testing.assert_allclose(back.velocities, motion.velocities, rtol=1e-12)
    np.testing.assert_array_equal(back.trust.flags, motion.trust.flags)


def test_there_and_back_by_mdanalysis(motion: Trajectory) -> None:
    part = motion.select((0,))
    universe = nmd.to_mdanalysis(part)
    assert universe.trajectory.n_frames == 6
    assert universe.trajectory.dt == pytest.approx(5e-4)
    universe.trajectory[3]
    np.testing.assert_allclose(universe.atoms.positions, part.positions[3], atol=1e-5)
    np.testing.assert_allclose(universe.atoms.velocities, 1e3 * part.velocities[3], rtol=1e-5)
    np.testing.assert_allclose(universe.atoms.masses, part.system.masses)
    back = nmd.trajectory(universe)
    assert back.system.same_atoms(part.system)
    np.testing.assert_allclose(back.system.cell, part.system.cell, atol=1e-5)
    assert back.timestep == pytest.approx(0.5)
    np.testing.assert_allclose(back.positions, part.positions, atol=1e-5)
    np.testing.assert_allclose(back.velocities, part.velocities, rtol=1e-5)
    np.testing.assert_allclose(back.forces, part.forces, rtol=1e-5)


def test_a_bare_molecule_has_neither_cell_nor_velocities(motion: Trajectory) -> None:
    system = nmd.System.from_atomic_numbers([8, 1, 1])
    bare = Trajectory.uniform(system, motion.positions, 2.0)
    universe = nmd.to_mdanalysis(bare)
    assert not universe.trajectory.ts.has_velocities
    for back in (nmd.trajectory(universe), nmd.trajectory(nmd.to_ase(bare))):
        assert (back.timestep, back.velocities, back.system.pbc.any()) == (pytest.approx(2.0), None, False)
        np.testing.assert_allclose(back.positions, bare.positions, atol=1e-5)


def test_what_a_universe_cannot_hold_is_refused(motion: Trajectory) -> None:
    with pytest.raises(DataError, match=r"2 segments, each with a time of its own: choose one"):
        nmd.to_mdanalysis(motion)
    turned = replace(motion.system, cell=np.roll(motion.system.cell, 1, axis=0))
    with pytest.raises(DataError, match="MDAnalysis' Universe holds a cell only if"):
        nmd.to_mdanalysis(replace(motion.select((0,)), system=turned))
