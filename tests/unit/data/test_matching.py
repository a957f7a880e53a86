"""Whether a fine and a coarse file fit each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuralmd.data.formats import write
from neuralmd.data.matching import match
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY

WATER = System.from_atomic_numbers([8, 1, 1])
START = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])


def motion(step: float, frames: int = 60, kelvin: float = 500.0, system: System = WATER) -> Trajectory:
    """Every atom swings with its own phase, slowly enough for any step, at about that temperature."""
    speed = np.sqrt(BOLTZMANN * kelvin / KINETIC_ENERGY / system.masses)[:, None]
    phase = np.arange(9.0).reshape(3, 3)
    angle = 0.05 * step * np.arange(frames)[:, None, None] + phase
    positions = START + speed / 0.05 * np.sin(angle)
    return Trajectory.uniform(system, positions, step, velocities=speed * np.cos(angle))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    write(motion(0.5), tmp_path / "fine.h5")
    write(motion(5.0), tmp_path / "coarse.h5")
    return tmp_path / "fine.h5", tmp_path / "coarse.h5"


def test_files_that_fit(pair: tuple[Path, Path]) -> None:
    found = match(*pair)
    assert (found.stride, found.timestep, found.gap, found.velocities) == (10, 0.5, 5.0, True)
    assert found.frames == (60, 60)
    assert not [note for note in found.notes if "velocities:" in note or " K" in note]


def test_what_should_be_known(pair: tuple[Path, Path]) -> None:
    fine, coarse = pair
    write(replace(motion(0.5), velocities=None, velocity_source=None), fine, overwrite=True)
    write(replace(motion(5.0), velocities=None, velocity_source=None), coarse, overwrite=True)
    found = match(fine, coarse)
    assert not found.velocities
    told = " ".join(found.notes)
    assert "central differences" in told
    assert "inferred from its positions" in told
    write(motion(5.0, kelvin=1500.0), coarse, overwrite=True)
    assert "for what it has not seen" in match(fine, coarse).notes[-1]


@pytest.mark.parametrize(
    ("coarse", "told"),
    [
        (motion(5.2), r"every 5\.2 fs, which is 10\.400 time steps"),
        (motion(0.5), "there is nothing to rebuild"),
        (motion(5.0, frames=1), "no two consecutive frames"),
        (motion(5.0, system=System.from_atomic_numbers([1, 8, 1])), "atom 0 is O in one and H in the other"),
        (motion(5.0, system=System.from_atomic_numbers([8, 1, 9])), r"H2O \(3 atoms\) and HFO"),
        (
            motion(5.0, system=replace(WATER, cell=9 * np.eye(3), pbc=np.ones(3, dtype=bool))),
            "different periodic cells",
        ),
        (
            replace(motion(5.0), segments=(Segment(0, 30, 5.0), Segment(30, 30, 10.0))),
            r"several time steps \(5, 10 fs\)",
        ),
    ],
)
def test_files_that_do_not(pair: tuple[Path, Path], coarse: Trajectory, told: str) -> None:
    write(coarse, pair[1], overwrite=True)
    with pytest.raises(DataError, match=told):
        match(*pair)
