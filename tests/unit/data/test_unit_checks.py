"""Units that the user declares, and the warnings that name the likely one where a file is in another."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from neuralmd.data import formats
from neuralmd.data.declared import AS_IT_IS, Declared, LengthUnit, VelocityUnit
from neuralmd.data.inspection import check_units
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError

KETO = "keto_malondialdehyde_sgdml_nve_dt0.2fs.npz"


@pytest.fixture(scope="module")
def motion(shared_data) -> Trajectory:
    """A molecule at 300 K with the integrator's velocities, a frame every fs."""
    return formats.read(shared_data / KETO).slice(0, 3000, 5)


def complaints(path, declared=AS_IT_IS) -> str:
    with formats.open_reader(path, declared=declared) as reader:
        return " / ".join(check_units(reader))


@pytest.mark.parametrize("unit", [unit for unit in VelocityUnit if unit is not VelocityUnit.ANGSTROM_PER_FS])
@pytest.mark.parametrize("stride", [1, 20])
def test_the_warning_names_the_unit_and_the_option_puts_it_right(tmp_path, motion, unit, stride):
    part = motion.slice(0, len(motion), stride)
    formats.write(replace(part, velocities=part.velocities / unit.factor, forces=None), tmp_path / "x.npz")
    assert f"probably in {unit.words} (give --velocity-unit {unit}," in complaints(tmp_path / "x.npz")
    declared = Declared(velocity_unit=unit)
    assert complaints(tmp_path / "x.npz", declared) == ""
    read = formats.read(tmp_path / "x.npz", declared=declared)
    np.testing.assert_allclose(read.velocities, part.velocities, rtol=1e-12)


@pytest.mark.parametrize("unit", list(VelocityUnit))
def test_velocities_right_in_their_format_give_no_warning(tmp_path, motion, unit):
    formats.write(motion, tmp_path / "x.extxyz")  # momenta, in ASE's units
    assert complaints(tmp_path / "x.extxyz") == ""
    wrong = complaints(tmp_path / "x.extxyz", Declared(velocity_unit=unit))
    assert (wrong == "") == (unit is VelocityUnit.ASE)
    assert wrong == "" or "--velocity-unit ase" in wrong


@pytest.mark.parametrize("unit", [unit for unit in LengthUnit if unit is not LengthUnit.ANGSTROM])
def test_lengths_in_another_unit(tmp_path, motion, unit):
    formats.write(replace(motion, positions=motion.positions / unit.factor), tmp_path / "x.npz")
    assert f"lengths are probably in {unit} (give --length-unit {unit}," in complaints(tmp_path / "x.npz")
    read = formats.read(tmp_path / "x.npz", declared=Declared(length_unit=unit))
    np.testing.assert_allclose(read.positions, motion.positions, rtol=1e-12)
    assert complaints(tmp_path / "x.npz", Declared(length_unit=unit)) == ""


def test_cell_and_positions_have_one_unit(tmp_path, motion):
    boxed = replace(motion, system=replace(motion.system, cell=np.diag([20.0] * 3), pbc=np.ones(3, dtype=bool)))
    formats.write(boxed, tmp_path / "x.extxyz")
    read = formats.read(tmp_path / "x.extxyz", declared=Declared(length_unit=LengthUnit.NANOMETRE))
    np.testing.assert_allclose(read.system.cell, np.diag([200.0] * 3))


@pytest.mark.parametrize("name", [KETO, "h2o6_mp2_nve_dt1fs.npz", "methane_b3lyp_nve_qm22.npz"])
def test_real_files_are_not_suspected(shared_data, name):
    assert complaints(shared_data / name) == ""


def test_argon_is_far_apart_by_nature(tmp_path):
    from neuralmd.system import System

    argon = Trajectory.uniform(System.from_atomic_numbers([18, 18]), np.tile([[0, 0, 0], [0, 0, 3.8]], (3, 1, 1)), 1.0)
    formats.write(argon, tmp_path / "x.h5")
    assert complaints(tmp_path / "x.h5") == ""


def test_h5md_without_units_asks_for_them(tmp_path, motion):
    formats.write(motion, tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        del file["particles/atoms/position/value"].attrs["unit"]
        del file["particles/atoms/velocity/value"].attrs["unit"]
    with pytest.raises(
        DataError, match=r"position/value does not state its unit: .*--length-unit \(data.length_unit\)"
    ):
        formats.read(tmp_path / "x.h5")
    with pytest.raises(DataError, match=r"velocity/value does not state its unit: .*--velocity-unit"):
        formats.read(tmp_path / "x.h5", declared=Declared(length_unit=LengthUnit.ANGSTROM))
    declared = Declared(length_unit=LengthUnit.BOHR, velocity_unit=VelocityUnit.ATOMIC)
    read = formats.read(tmp_path / "x.h5", declared=declared)
    np.testing.assert_allclose(read.positions, motion.positions * 0.529177210903)
    np.testing.assert_allclose(read.velocities, motion.velocities * VelocityUnit.ATOMIC.factor)


def test_h5md_that_states_another_unit_wins(tmp_path, motion):
    formats.write(motion, tmp_path / "x.h5")
    assert len(formats.read(tmp_path / "x.h5", declared=Declared(length_unit=LengthUnit.ANGSTROM))) == len(motion)
    with pytest.raises(DataError, match="states the unit Angstrom, but nm was given: leave --length-unit out"):
        formats.read(tmp_path / "x.h5", declared=Declared(length_unit=LengthUnit.NANOMETRE))


def test_a_time_step_must_be_positive():
    with pytest.raises(DataError, match="positive and finite"):
        Declared(timestep=float("nan"))
