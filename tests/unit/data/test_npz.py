from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from sample_trajectories import sample

from neuralmd.data import formats
from neuralmd.data.trajectory import VelocitySource
from neuralmd.errors import DataError
from neuralmd.units import HARTREE, KCAL_PER_MOL

BASE = {"z": np.array([8, 1, 1]), "R": sample().positions}


def _save(path, **arrays):
    np.savez(path, **{k: v for k, v in (BASE | arrays).items() if v is not None})
    return path


def test_md17(tmp_path):
    """The original files: uint8 numbers, energies in a column, no time step, further keys."""
    forces = np.ones((12, 3, 3))
    path = _save(
        tmp_path / "md17.npz",
        z=np.array([8, 1, 1], dtype=np.uint8),
        E=np.full((12, 1), -100.0),
        F=forces,
        name=np.array("water"),
        theory=np.array("PBE"),
        md5=np.array("0"),
        type=np.array("d"),
    )
    with pytest.raises(DataError, match=r"does not state its time step: give it .* --timestep"):
        formats.open_reader(path)
    read = formats.read(path, timestep=0.5)
    assert read.timestep == 0.5
    assert read.velocities is None
    np.testing.assert_allclose(read.energies, -100.0 * KCAL_PER_MOL)
    np.testing.assert_allclose(read.forces, forces * KCAL_PER_MOL)


@pytest.mark.parametrize(("key", "unit"), [("E", KCAL_PER_MOL), ("E_pot", KCAL_PER_MOL), ("E_hartree", HARTREE)])
def test_energy_keys(tmp_path, key, unit):
    path = _save(tmp_path / "x.npz", dt_fs=0.5, **{key: np.arange(12)})
    np.testing.assert_allclose(formats.read(path).energies, unit * np.arange(12))


def test_isotopes_cell_and_meta(tmp_path):
    path = _save(
        tmp_path / "x.npz",
        dt_fs=0.5,
        masses_iso=np.array([15.9949, 1.0078, 1.0078]),
        cell=np.eye(3) * 9,
        meta=json.dumps({"seed": 2, "source": "here"}),
        R=BASE["R"].astype(np.float32),
    )
    read = formats.read(path)
    assert read.system.masses.tolist() == [15.9949, 1.0078, 1.0078]
    assert read.system.pbc.all()
    assert read.metadata == {"seed": "2", "source": "here"}
    assert read.positions.dtype == np.float64
    assert formats.read(_save(tmp_path / "y.npz", dt_fs=0.5, meta="free text")).metadata == {"meta": "free text"}


def test_shared_tropolone(shared_data):
    with formats.open_reader(shared_data / "tropolone_b3lyp_nve_qm22.npz") as reader:
        assert [s.length for s in reader.segments] == [1000] * 3 + [600, 300] + [600] * 4
        assert sorted({round(s.timestep, 4) for s in reader.segments}) == [0.6047, 1.2094]
        assert reader.fields == {"forces", "energies"}
        assert reader.velocity_source is None
        assert len(reader.read(990, 1010).segments) == 2
        assert reader.system.masses[0] == pytest.approx(1.00782503)


def test_shared_keto(shared_data):
    with formats.open_reader(shared_data / "keto_malondialdehyde_sgdml_nve_dt0.2fs.npz") as reader:
        block = reader.read(0, 5)
        assert block.timestep == 0.2
        assert block.velocity_source is VelocitySource.STORED
        assert reader.fields == {"velocities", "forces", "energies"}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": None}, "lacks z: expected MD17's keys"),
        ({"R": None, "positions": BASE["R"]}, "lacks R"),
        ({"R": BASE["R"][0]}, "R should have the shape"),
        ({"R": BASE["R"][:, :2]}, "R should have the shape"),
        ({"V": BASE["R"][:5]}, "V should have the shape"),
        ({"F": BASE["R"][:, :, :2]}, "F should have the shape"),
        ({"E": np.zeros(11)}, "12 frames, but 11 energies"),
        ({"z": np.array(["O", "H", "H"])}, "one atomic number per atom"),
        ({"z": np.array([8, 1, 999])}, "atomic numbers must lie in"),
        ({"masses": np.ones(2)}, "masses should hold 3 masses, but holds 2"),
        ({"R": np.array([None] * 12)}, "R holds pickled Python objects"),
        ({"seg_len": np.array([6, 5])}, "should cover its 12 frames"),
        ({"seg_start": np.array([0, 7]), "seg_len": np.array([6, 6])}, "should cover its 12 frames"),
        ({"seg_len": np.array([6, 6]), "dt_fs": None}, "segments without their time steps"),
        ({"dt_fs": np.array(-1.0)}, "time steps do not fit"),
        ({"R": BASE["R"][:0]}, "holds no frames"),
        ({"V": BASE["R"], "velocity_source": np.array("guess")}, "cannot be read"),
        ({"cell": np.zeros((12, 3, 3))}, "one cell for all frames"),
        ({"old_indices": np.arange(12)}, "rMD17, a shuffled subsample .* original MD17"),
    ],
)
def test_bad_files(tmp_path, arrays, message):
    path = _save(tmp_path / "x.npz", **({"dt_fs": np.array(0.5)} | arrays))
    with pytest.raises(DataError, match=message):
        formats.open_reader(path)


def test_rmd17_by_its_keys(tmp_path):
    np.savez(tmp_path / "rmd17_ethanol.npz", nuclear_charges=BASE["z"], coords=BASE["R"], old_indices=np.arange(12))
    with pytest.raises(DataError, match="original MD17"):
        formats.open_reader(tmp_path / "rmd17_ethanol.npz")


def test_a_decompression_bomb_is_not_read(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("R.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(40):
            file.write(bytes(2**23))
    with pytest.raises(DataError, match=r"would grow from .* it is not read"):
        formats.open_reader(tmp_path / "x.npz")


def test_a_header_that_promises_too_much(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**13, 3, 3)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("R.npy", header.getvalue() + bytes(100))
    with pytest.raises(DataError, match=r"cannot be read as an .npz trajectory"):
        formats.open_reader(tmp_path / "x.npz")
