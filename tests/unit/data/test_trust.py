"""Error bars and flags of rebuilt frames: kept by slices and joins, and by the files that can hold them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from neuralmd.data.formats import holds, read, write
from neuralmd.data.trajectory import Trajectory, concatenate
from neuralmd.data.trust import Flag, Trust, join
from neuralmd.errors import DataError
from neuralmd.system import System

FRAMES, ATOMS = 25, 3


def rebuilt(*, bars: bool = True) -> Trajectory:
    rng = np.random.default_rng(0)
    flags = rng.integers(0, 16, FRAMES).astype(np.uint8)
    each = rng.random((FRAMES, ATOMS)).astype(np.float32)
    each[3] = np.nan
    whole = each.mean(1, dtype=np.float32)
    trust = Trust(flags, each, whole) if bars else Trust(flags)
    motion = Trajectory.uniform(System.from_atomic_numbers([8, 1, 1]), rng.normal(size=(FRAMES, ATOMS, 3)), 0.5)
    return replace(motion, trust=trust)


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("suffix", [".h5", ".npz", ".extxyz"])
def test_files_keep_them(tmp_path: Path, suffix: str, bars: bool) -> None:
    motion, path = rebuilt(bars=bars), tmp_path / f"fine{suffix}"
    write(motion, path)
    found = read(path).trust
    assert motion.trust is not None
    assert found is not None
    assert found.arrays().keys() == motion.trust.arrays().keys()
    for name, array in motion.trust.arrays().items():
        np.testing.assert_allclose(found.arrays()[name], array, rtol=0, atol=1e-8)
    assert (found.error_bars is not None) == bars


def test_h5md_has_units_a_clock_and_what_flags_mean(tmp_path: Path) -> None:
    write(rebuilt(), tmp_path / "fine.h5")
    with h5py.File(tmp_path / "fine.h5") as file:
        atoms = file["observables/atoms"]
        assert atoms["error_bar/value"].shape == (FRAMES, ATOMS)
        assert atoms["error_bar/value"].attrs["unit"] == "Angstrom"
        assert atoms["frame_error_bar/value"].attrs["unit"] == "Angstrom"
        assert atoms["error_bar/value"].chunks is not None
        assert f"{int(Flag.SPLINE)}: filled by a spline" in atoms["flag/value"].attrs["meaning"]
        assert np.array_equal(atoms["flag/time"][:], file["particles/atoms/position/time"][:])


def test_ase_and_mdanalysis_see_them(tmp_path: Path) -> None:
    ase_io, universe = pytest.importorskip("ase.io"), pytest.importorskip("MDAnalysis").Universe
    motion = rebuilt()
    assert motion.trust is not None
    assert motion.trust.error_bars is not None
    write(motion, tmp_path / "fine.extxyz")
    image = ase_io.read(tmp_path / "fine.extxyz", index=5)
    np.testing.assert_allclose(image.arrays["error_bar_A"], motion.trust.error_bars[5], atol=1e-8)
    assert image.info["flag"] == motion.trust.flags[5]
    write(motion, tmp_path / "fine.h5")
    seen = universe.empty(ATOMS)
    seen.load_new(str(tmp_path / "fine.h5"), format="H5MD", convert_units=False)
    frame = seen.trajectory[5]
    np.testing.assert_array_equal(frame.data["atoms/error_bar"], motion.trust.error_bars[5])
    seen.trajectory.close()


@pytest.mark.parametrize("suffix", [".xtc", ".traj", ".pdb"])
def test_formats_that_hold_none(tmp_path: Path, suffix: str) -> None:
    assert not {"flags", "error_bars"} & holds(tmp_path / f"fine{suffix}")


def test_slices_and_joins_keep_them() -> None:
    motion = rebuilt()
    again = concatenate([motion.slice(0, 10), motion.slice(10, FRAMES)])
    assert again.trust is not None
    assert motion.trust is not None
    for name, array in motion.trust.arrays().items():
        np.testing.assert_array_equal(again.trust.arrays()[name], array)
        np.testing.assert_array_equal(motion.slice(1, 20, 4).trust.arrays()[name], array[1:20:4])
    assert join([motion.trust, None]) is None
    assert concatenate([motion, rebuilt(bars=False)]).trust.error_bars is None
    known = Trust.anchors(2, ATOMS)
    assert not known.flags.any()
    assert not known.error_bars.any()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    motion = rebuilt()
    with pytest.raises(DataError, match="flags or error bars of others"):
        replace(motion, trust=motion.trust[1:])
    write(motion, tmp_path / "fine.h5")
    with h5py.File(tmp_path / "fine.h5", "a") as file:
        file["observables/atoms/error_bar/value"].resize((FRAMES - 1, ATOMS))
    with pytest.raises(DataError, match="error_bar/value should have the shape"):
        read(tmp_path / "fine.h5")
