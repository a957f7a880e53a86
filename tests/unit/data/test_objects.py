"""What a program holds already becomes a trajectory: ASE's Atoms, MDAnalysis' Universe, files."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units

import neuralmd as nmd
from neuralmd.data.mdanalysis import silent
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError


@pytest.fixture(scope="module")
def fine() -> Trajectory:
    return nmd.read(nmd.example("benzene")).slice(0, 12)


def test_a_trajectory_is_given_back_as_it_is(fine: Trajectory) -> None:
    assert nmd.trajectory(fine) is fine


def test_a_file_is_read(fine: Trajectory) -> None:
    assert len(nmd.trajectory(str(nmd.example("benzene")))) == 2000


def test_frames_of_ase_keep_positions_velocities_and_times(fine: Trajectory, tmp_path: Path) -> None:
    nmd.write(fine, tmp_path / "fine.traj")
    with ase.io.Trajectory(tmp_path / "fine.traj") as file:
        found = [nmd.trajectory(source) for source in (ase.io.read(tmp_path / "fine.traj", ":"), file)]
    for taken in found:
        assert taken.timestep == fine.timestep
        np.testing.assert_array_equal(taken.positions, fine.positions)
        assert taken.velocities is not None
        np.testing.assert_allclose(taken.velocities, fine.velocities, rtol=1e-12)


def test_frames_that_state_no_time_need_a_time_step() -> None:
    frames = [Atoms("H2", [[0, 0, 0], [0.1 * i, 0, 1]]) for i in range(3)]
    with pytest.raises(DataError, match="timestep="):
        nmd.trajectory(frames)
    taken = nmd.trajectory(frames, timestep=2.0)
    assert (taken.timestep, len(taken), taken.velocities) == (2.0, 3, None)


def test_velocities_that_only_some_frames_have_are_left_out() -> None:
    frames = [Atoms("H2", [[0, 0, 0], [0, 0, 1]], momenta=None if i else np.ones((2, 3))) for i in range(2)]
    assert nmd.trajectory(frames, timestep=1.0).velocities is None


def test_molecular_dynamics_of_ase_states_its_time_step(tmp_path: Path) -> None:
    from ase.calculators.emt import EMT
    from ase.md.verlet import VelocityVerlet

    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]], calculator=EMT())
    with VelocityVerlet(atoms, 0.5 * units.fs, trajectory=str(tmp_path / "md.traj"), loginterval=2) as dynamics:
        dynamics.run(6)
    with ase.io.Trajectory(tmp_path / "md.traj") as source:
        assert nmd.trajectory(source).timestep == pytest.approx(1.0, rel=1e-6)


def test_positions_that_jump_across_a_cell_are_unwrapped() -> None:
    cell, step = 5.0, 0.4
    there = [Atoms("Ar", [[(4.0 + step * i) % cell, 0, 0]], cell=[cell] * 3, pbc=True) for i in range(8)]
    x = nmd.trajectory(there, timestep=1.0).positions[:, 0, 0]
    np.testing.assert_allclose(np.diff(x), step)


def test_a_universe_keeps_positions_velocities_and_times(fine: Trajectory, tmp_path: Path) -> None:
    import MDAnalysis

    nmd.write(fine, tmp_path / "fine.trr")
    nmd.write(fine.slice(0, 1), tmp_path / "fine.pdb")
    with silent():
        universe = MDAnalysis.Universe(tmp_path / "fine.pdb", tmp_path / "fine.trr")
    taken = nmd.trajectory(universe)
    assert taken.timestep == pytest.approx(fine.timestep)
    assert taken.system.same_atoms(fine.system)
    np.testing.assert_allclose(taken.positions, fine.positions, atol=1e-5)
    assert taken.velocities is not None
    np.testing.assert_allclose(taken.velocities, fine.velocities, atol=1e-6)
    with silent():
        universe.trajectory.close()


@pytest.mark.parametrize("thing", [3, ["a"], {"positions": 1}, np.zeros((2, 3)), [], None])
def test_anything_else_is_refused_in_one_line(thing: object) -> None:
    with pytest.raises(DataError) as caught:
        nmd.trajectory(thing)
    assert "\n" not in str(caught.value)


def test_an_array_that_states_no_time_needs_a_time_step(fine: Trajectory) -> None:
    """MDAnalysis numbers the frames of an array 1 ps apart, which nobody may have meant."""
    import MDAnalysis

    with silent():
        universe = MDAnalysis.Universe.empty(12, trajectory=True)
        universe.add_TopologyAttr("elements", fine.system.symbols)
        universe.load_new(fine.positions, order="fac")
    with pytest.raises(DataError, match=r"1 ps apart.*timestep=0\.5; if it is 1 ps, timestep=1000"):
        nmd.trajectory(universe)
    assert nmd.trajectory(universe, timestep=0.5).timestep == 0.5
    with silent():
        universe.load_new(fine.positions, order="fac", dt=5e-4)
    assert nmd.trajectory(universe).timestep == pytest.approx(0.5)
