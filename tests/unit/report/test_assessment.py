"""An evaluation takes a run or its folder, and a file or what a program holds in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms, units

import neuralmd as nmd
from neuralmd.data.declared import Declared
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import CheckpointError, DataError
from neuralmd.runs import TrainedRun


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return nmd.load(nmd.example("neural-ode"))


@pytest.fixture(scope="module")
def fine() -> Trajectory:
    return nmd.read(nmd.example("benzene"))


def images_of(fine: Trajectory) -> list[Atoms]:
    """The frames as ASE holds them; they state no time step."""
    assert fine.velocities is not None
    numbers, masses = fine.system.atomic_numbers, fine.system.masses
    return [
        Atoms(numbers, x, masses=masses, velocities=v / units.fs)
        for x, v in zip(fine.positions, fine.velocities, strict=True)
    ]


def test_a_trajectory_in_memory_is_evaluated_as_its_file_is(run: TrainedRun, fine: Trajectory) -> None:
    by_file = nmd.Assessment.of(nmd.example("neural-ode"), nmd.example("benzene"))
    by_object = nmd.Assessment.of(run, fine)
    assert list(by_object.methods) == list(by_file.methods)
    assert by_object.windows.source == "the trajectory"
    torch.testing.assert_close(by_object.windows.starts, by_file.windows.starts)
    torch.testing.assert_close(by_object.windows.frames.positions, by_file.windows.frames.positions, rtol=0, atol=0)
    part = fine.slice(0, 101)
    assessment = nmd.Assessment.of(run, part)
    spline = {"cubic_hermite": assessment.methods["cubic_hermite"]}
    rebuilt = nmd.rebuild(part.slice(0, 101, 20), spline["cubic_hermite"], stride=20)
    expected = np.abs(rebuilt.positions - part.positions)[np.arange(101) % 20 != 0].mean()
    found = replace(assessment, methods=spline).run().methods["cubic_hermite"]
    assert found.mae == pytest.approx(expected, rel=1e-6)


def test_atoms_of_ase_are_taken_at_the_time_step_that_is_declared(run: TrainedRun, fine: Trajectory) -> None:
    part = fine.slice(0, 61)
    made = nmd.Assessment.of(run, images_of(part), declared=Declared(timestep=0.5))
    assert len(made.windows.starts) == 3
    np.testing.assert_allclose(made.windows.frames.positions.numpy(), part.positions, atol=1e-12)


def test_what_does_not_fit_is_said(run: TrainedRun, fine: Trajectory) -> None:
    with pytest.raises(DataError, match="the trajectory: holds no velocities"):
        nmd.Assessment.of(run, replace(fine, velocities=None, velocity_source=None))
    with pytest.raises(DataError, match="the trajectory is shorter than one window of stride 20"):
        nmd.Assessment.of(run, fine.slice(0, 20))
    water = nmd.System.from_atomic_numbers([8, 1, 1])
    rng = np.random.default_rng(0)
    moving = Trajectory.uniform(water, rng.random((30, 3, 3)).cumsum(axis=0), 0.5, velocities=np.zeros((30, 3, 3)))
    with pytest.raises(CheckpointError, match="H2O"):
        nmd.Assessment.of(run, moving)
