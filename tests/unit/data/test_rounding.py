"""Positions with too few digits are told, and others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuralmd.data.declared import Declared, LengthUnit
from neuralmd.data.formats import open_reader, write
from neuralmd.data.rounding import about_rounding, grid_of
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.unit_checks import check_units
from neuralmd.system import System

WATER = System.from_atomic_numbers([8, 1, 1])


def motion(step: float) -> np.ndarray:
    """Hydrogen atoms on springs with a period of 10 fs; frames `step` apart [fs]."""
    rng = np.random.default_rng(0)
    time = step * np.arange(300)[:, None, None]
    phase, place = rng.uniform(0.0, 6.0, (2, 3, 3))
    return place + 0.08 * np.sin(2 * np.pi * time / 10.3 + phase)


def told(tmp_path: Path, positions: np.ndarray, step: float, unit: LengthUnit = LengthUnit.ANGSTROM) -> list[str]:
    write(Trajectory.uniform(WATER, positions, step), tmp_path / "file.npz", overwrite=True)
    with open_reader(tmp_path / "file.npz", declared=Declared(length_unit=unit)) as reader:
        found = about_rounding(reader)
        assert set(found) <= set(check_units(reader))
    return found


@pytest.mark.parametrize("digits", [2, 3])
def test_a_fine_file_with_too_few_digits(tmp_path: Path, digits: int) -> None:
    rough = np.round(motion(0.5), digits).astype(np.float32).astype(float)
    (sentence,) = told(tmp_path, rough, 0.5)
    assert f"rounded to {10.0**-digits:g} A" in sentence
    assert "no field can be learned" in sentence


def test_a_coarse_file_with_few_digits(tmp_path: Path) -> None:
    (sentence,) = told(tmp_path, np.round(motion(7.0), 2), 7.0)
    assert "known frames are 2.9e-03 A off" in sentence
    assert told(tmp_path, np.round(motion(7.0), 4), 7.0) == []


def test_files_with_enough_digits(tmp_path: Path) -> None:
    assert told(tmp_path, motion(0.5), 0.5) == []
    assert told(tmp_path, motion(0.5).astype(np.float32).astype(float), 0.5) == []
    assert told(tmp_path, np.round(motion(0.5), 6), 0.5) == []


def test_digits_of_another_unit(tmp_path: Path) -> None:
    numbers = np.round(motion(0.5) / LengthUnit.BOHR.factor, 2)
    (sentence,) = told(tmp_path, numbers, 0.5, LengthUnit.BOHR)
    assert "rounded to 0.0053 A" in sentence


def test_atoms_that_do_not_move_are_on_no_grid() -> None:
    assert grid_of(np.zeros((5, 3, 3))) is None
    assert grid_of(1e-9 * motion(0.5)) is None
    assert grid_of(np.round(motion(0.5), 1)[:1]) is None
