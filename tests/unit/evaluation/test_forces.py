"""Errors of a field's forces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typing_extensions import override

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames
from neuralmd.errors import DataError
from neuralmd.evaluation.forces import force_errors
from neuralmd.fields.base import Field
from neuralmd.system import Accelerations, PhaseState, System


class Spring(Field):
    """dv/dt = -stiffness x."""

    def __init__(self, stiffness: float) -> None:
        super().__init__()
        self.stiffness = stiffness

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        return -self.stiffness * state.positions


def molecule(stiffness: float | None) -> Frames:
    """Hydrogen and oxygen on springs; forces [eV/A] where a stiffness is given."""
    system = System.from_atomic_numbers([1, 8])
    positions = np.random.default_rng(0).normal(size=(30, 2, 3))
    # 1 amu A/fs^2 is 103.6 eV/A, from 1.66053906660e-27 kg, 1e10 m/s^2 per A/fs^2 x 1e10, and 1.602176634e-19 J
    unit = 1.66053906660e-27 * 1e10 / 1.602176634e-19
    forces = None if stiffness is None else -stiffness * unit * system.masses[:, None] * positions
    return Frames.of(Trajectory.uniform(system, positions, 1.0, velocities=np.zeros_like(positions), forces=forces))


def test_the_right_field_has_no_error_and_a_softer_one_errs_by_the_difference_times_the_mass() -> None:
    frames, chosen = molecule(0.02), torch.arange(3, 27, 2)
    assert force_errors(Spring(0.02), frames, chosen).mae < 1e-5
    found = force_errors(Spring(0.015), frames, chosen)
    force = 0.005 / 0.02 * np.abs(molecule(0.02).accelerations[chosen].numpy())  # pyright: ignore[reportOptionalSubscript]
    wrong = 103.6427 * frames.system.masses[:, None] * force
    assert found.mae == pytest.approx(wrong.mean(), rel=1e-4)
    assert found.rmse == pytest.approx(np.sqrt((wrong**2).mean()), rel=1e-4)


def test_without_forces_there_is_nothing_to_compare() -> None:
    with pytest.raises(DataError, match="no forces"):
        force_errors(Spring(0.02), molecule(None), torch.tensor([3]))
