"""Files of other programs from `info` to `reconstruct`, with what the user has to say about them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuralmd.build.dataset import declared, notes, trajectory
from neuralmd.config import load
from neuralmd.data.declared import Declared, LengthUnit, VelocityUnit
from neuralmd.data.formats import read, write


@pytest.fixture
def coarse(workplace: Path) -> Path:
    """Every tenth frame of water as TRR, with a topology beside it."""
    known = read("water.h5").slice(0, 201, 10)
    write(replace(known, energies=None), workplace / "coarse.trr")
    write(known.slice(0, 1), workplace / "water.pdb")
    return workplace / "coarse.trr"


@pytest.fixture
def workplace(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace)
    return workplace


def test_from_trr_to_every_format(trained: Path, coarse: Path, workplace: Path, neuralmd) -> None:
    words = ("--run", str(trained), "--stride", "10", "--method", "cubic_hermite", "--topology", "water.pdb")
    known = read(coarse, declared=Declared(topology=Path("water.pdb")))
    for suffix in (".h5", ".nc", ".trr", ".xtc", ".dcd", ".pdb", ".extxyz"):
        done = neuralmd("reconstruct", "coarse.trr", f"fine{suffix}", *words)
        assert ("holds no velocities" in done.stderr) == (suffix in {".xtc", ".dcd", ".pdb"})
        said = Declared(
            topology=None if suffix in {".h5", ".extxyz", ".pdb"} else Path("water.pdb"),
            timestep=0.5 if suffix == ".pdb" else None,
        )
        fine = read(workplace / f"fine{suffix}", declared=said)
        assert fine.timestep == pytest.approx(0.5)
        assert len(fine) == 201
        np.testing.assert_allclose(fine.positions[::10], known.positions, atol=6e-4 if suffix == ".pdb" else 2e-5)
    assert "without elements" in neuralmd("reconstruct", "coarse.trr", "x.h5", *words[:-2], code=2).stderr


def test_units_are_checked_and_declared(trained: Path, coarse: Path, workplace: Path, neuralmd) -> None:
    known = read(coarse, declared=Declared(topology=Path("water.pdb")))
    write(replace(known, velocities=1e3 * known.velocities), workplace / "wrong.npz")
    words = ("--run", str(trained), "--stride", "10", "--method", "cubic_hermite")
    told = neuralmd("reconstruct", "wrong.npz", "fine.h5", *words).stderr
    assert "velocities are probably in A/ps (give --velocity-unit A/ps" in told
    right = neuralmd("reconstruct", "wrong.npz", "fine.h5", *words, "--velocity-unit", "A/ps", "--overwrite")
    assert right.stderr == ""
    np.testing.assert_allclose(read(workplace / "fine.h5").velocities[::10], known.velocities, rtol=1e-12)
    assert "A/ps" in neuralmd("info", "wrong.npz").stdout
    assert "Invalid value" in neuralmd("info", "wrong.npz", "--velocity-unit", "furlong", code=2).stderr


def test_a_molecule_in_a_box_drops_its_cell_or_is_wrapped(trained: Path, workplace: Path, neuralmd) -> None:
    known = read("water.h5").slice(0, 101, 10)
    system = replace(known.system, cell=np.diag([9.0, 9.0, 9.0]), pbc=np.ones(3, dtype=bool))
    write(replace(known, system=system), workplace / "boxed.extxyz")
    words = ("--run", str(trained), "--stride", "10", "--method", "cubic_hermite")
    neuralmd("reconstruct", "boxed.extxyz", "inside.h5", *words, "--wrap")
    neuralmd("reconstruct", "boxed.extxyz", "free.h5", *words, "--drop-cell")
    free = read(workplace / "free.h5")
    assert not free.system.pbc.any()
    np.testing.assert_allclose(free.positions[::10], known.positions, atol=1e-7)
    import h5py

    with h5py.File(workplace / "inside.h5") as file:
        stored = file["particles/atoms/position/value"][:]
    assert stored.min() >= 0.0
    assert stored.max() < 9.0
    both = neuralmd("reconstruct", "boxed.extxyz", "x.h5", *words, "--wrap", "--drop-cell", code=2).stderr
    assert "no periodic cell" in both
    assert not list(workplace.glob("x.h5*"))


def test_a_stopped_reconstruction_goes_on(trained: Path, coarse: Path, workplace: Path, neuralmd) -> None:
    words = ("reconstruct", "coarse.trr", "fine.h5", "--run", str(trained), "--stride", "10", "--topology", "water.pdb")
    neuralmd(*words)
    whole = (workplace / "fine.h5").read_bytes()
    assert "exists already" in neuralmd(*words, "--resume", code=2).stderr
    (workplace / "fine.h5").unlink()
    neuralmd(*words, "--resume")
    assert (workplace / "fine.h5").read_bytes() == whole


def test_what_looks_at_a_file_takes_what_reconstruct_takes(
    trained: Path, coarse: Path, workplace: Path, neuralmd
) -> None:
    """A format without elements needs the topology, and wrong units their name, in every command."""
    fine, topology = read("water.h5").slice(0, 601), ("--topology", "water.pdb")
    write(replace(fine, energies=None), workplace / "fine.trr")
    write(replace(fine, velocities=1e3 * fine.velocities), workplace / "wrong.npz")
    commands = {
        "spectrum": ("spectrum", "fine.trr", "water.h5", "--output", "figures", "--overwrite"),
        "rebuilt": ("spectrum", str(trained), "--data", "fine.trr", "--splines", "", "--output", "more", "--overwrite"),
        "evaluate": ("evaluate", "run", "--data", "fine.trr"),
        "mismatch": ("mismatch", "coarse.trr", "--run", str(trained)),
        "thin": ("thin", "fine.trr", "again.h5", "--stride", "10"),
        "info": ("info", "fine.trr"),
        "report": ("report", "run", "--data", "fine.trr", "--frames", "11"),
    }
    shutil.copytree(trained, workplace / "run")
    for words in commands.values():
        assert "without elements" in neuralmd(*words, code=2).stderr, words
        neuralmd(*words, *topology)
    said = ("evaluate", "run", "--data", "wrong.npz", "--velocity-unit", "A/ps", "--json", "right.json")
    neuralmd(*said)
    neuralmd("evaluate", "run", "--data", "fine.trr", *topology, "--json", "same.json")
    right, same = (json.loads((workplace / f"{name}.json").read_text())["methods"] for name in ("right", "same"))
    for method, errors in right.items():
        assert errors["mae"] == pytest.approx(same[method]["mae"], rel=1e-2), method
    for words in (("evaluate", "run"), ("spectrum", str(trained)), ("report", "run", "--output", "x.html")):
        assert "--data, and none was given" in neuralmd(*words, *topology, code=2).stderr


def test_units_in_a_configuration_are_those_of_its_format(coarse: Path, workplace: Path) -> None:
    data = load(workplace / "water.yaml", ["data.path=coarse.trr", "data.topology=water.pdb"]).data
    wrong = data.model_copy(update={"velocity_unit": "A/fs"})
    other = trajectory(wrong, workplace / "water.h5")
    np.testing.assert_array_equal(other.velocities, read("water.h5").velocities)
    write(read("water.h5"), workplace / "water.npz")
    said = trajectory(wrong, workplace / "water.npz", Declared(velocity_unit=VelocityUnit.ANGSTROM_PER_PS))
    np.testing.assert_allclose(said.velocities, 1e-3 * other.velocities)
    same = trajectory(wrong, coarse)
    np.testing.assert_allclose(same.velocities, trajectory(data).velocities * 1e2, rtol=1e-6)


def test_a_configuration_knows_every_unit(workplace: Path) -> None:
    for key, units in (("length_unit", LengthUnit), ("velocity_unit", VelocityUnit)):
        for unit in units:
            assert getattr(declared(load(workplace / "water.yaml", [f"data.{key}={unit}"]).data), key) is unit


def test_a_training_reads_what_its_configuration_declares(coarse: Path, workplace: Path) -> None:
    words = ["data.path=coarse.trr", "data.topology=water.pdb", "data.velocity_unit=nm/ps"]
    data = load(workplace / "water.yaml", words).data
    frames = trajectory(data)
    np.testing.assert_allclose(frames.velocities, read("water.h5").slice(0, 201, 10).velocities, rtol=1e-6, atol=1e-9)
    assert notes(data) == ()
    wrong = load(workplace / "water.yaml", [*words[:2], "data.velocity_unit=A/fs"]).data
    assert "--velocity-unit nm/ps" in " ".join(notes(wrong))
