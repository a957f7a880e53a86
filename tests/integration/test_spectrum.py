"""`neuralmd spectrum` on a real trajectory of water, and on what it must refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import ase
import ase.io
import numpy as np
import pytest

from neuralmd.data.formats import read, write
from neuralmd.data.trajectory import Trajectory, concatenate
from neuralmd.report.analysis_files import FILES
from neuralmd.units import BOHR

if TYPE_CHECKING:
    from conftest import Neuralmd


def test_the_spectrum_of_a_fine_and_a_coarse_file(neuralmd: Neuralmd, workplace: Path) -> None:
    neuralmd("thin", "water.h5", "coarse.h5", "--stride", "10")
    words = ("spectrum", "water.h5", "coarse.h5", "--labels", "truth,coarse", "--gap", "5")
    shown = neuralmd(*words, "--output", "figures", "--json", "figures/spectra.json").stdout
    assert re.search(r"truth\s+0\.5\s+33356\s+stored", shown)
    assert re.search(r"coarse\s+5\s+3336\s+stored", shown)
    assert {path.name for path in (workplace / "figures").iterdir()} == {*FILES, "spectra.json"}
    assert (workplace / "figures" / "spectrum.json").read_text() == (workplace / "figures" / "spectra.json").read_text()
    content = json.loads((workplace / "figures" / "spectra.json").read_text())
    assert content["gap_fs"] == 5
    truth, coarse = content["trajectories"]["truth"], content["trajectories"]["coarse"]
    assert any(3400 < place < 3800 for place in truth["peaks"])
    assert not any(place > 3336 for place in coarse["peaks"])
    assert truth["temperature"] == pytest.approx(np.sum(truth["density"]) * truth["resolution"])
    assert coarse["temperature"] == pytest.approx(truth["temperature"], rel=0.1)
    assert coarse["difference"] > 0.1
    assert truth["band_height_ratio"] == 1.0
    assert coarse["band_peak"] is None
    assert truth["radial_distribution"]["unit"] == "A^-3"
    assert coarse["radial_difference"]["H-O"] > truth["radial_difference"]["H-O"] == 0.0
    assert (workplace / "figures" / "spectrum.md").read_text().count("\n### ") == 2


def test_what_a_run_and_splines_rebuild(neuralmd: Neuralmd, workplace: Path, trained: Path) -> None:
    """The stretches of water, above the Nyquist wavenumber of anchors 5 fs apart, are back, and a spline lacks them."""
    (workplace / "runs").symlink_to(trained.parent)
    words = ("runs/water", "runs/water:neural_ode_forward", "--labels", "blend,forward", "--output", "figures")
    shown = neuralmd("spectrum", *words, "--stride", "10", "--splines", "linear").stdout
    assert re.search(r"forward\s+0\.5\s+33356\s+reconstructed", shown)
    content = json.loads((workplace / "figures" / "spectrum.json").read_text())
    assert content["gap_fs"] == 5.0
    found = content["trajectories"]
    assert list(found) == ["truth", "coarse", "linear", "blend", "forward"]
    assert found["blend"]["difference"] < found["forward"]["difference"] < found["linear"]["difference"]
    assert found["blend"]["band_height_ratio"] == pytest.approx(1.0, abs=0.1)
    assert found["linear"]["band_height_ratio"] < 0.9
    neuralmd("spectrum", "runs/water", "--data", "water.h5", "--splines", "", "--output", "whole", "--resolution", "50")
    assert list(json.loads((workplace / "whole" / "spectrum.json").read_text())["trajectories"])[-1] == "water"


def test_runs_that_cannot_be_compared(neuralmd: Neuralmd, workplace: Path, trained: Path) -> None:
    (workplace / "runs").symlink_to(trained.parent)
    (workplace / "empty").mkdir()
    fine = read(workplace / "water.h5")
    write(fine.slice(0, 30), workplace / "short.npz")
    for words, expected in [
        (("runs/water", "water.h5"), "water.h5: is no run"),
        (("runs/water", "runs/water"), "came twice"),
        (("runs/water:gru",), "there is no method 'gru'"),
        (("runs/water", "--splines", "quintic"), "there is no method 'quintic'"),
        (("runs/water", "--labels", "linear", "--splines", "linear"), "name of a spline"),
        (("empty",), "model.pt"),
        (("runs/water", "--stride", "1"), "at least 2"),
        (("runs/water", "--data", "short.npz"), "a spectrum needs"),
    ]:
        assert expected in neuralmd("spectrum", *words, "--output", "figures", code=2).stderr, words
    assert not (workplace / "figures").exists()


def test_a_file_without_velocities_says_so(neuralmd: Neuralmd, workplace: Path) -> None:
    fine = read(workplace / "water.h5")
    write(Trajectory.uniform(fine.system, fine.positions, 0.5), workplace / "bare.npz")
    assert "central" in neuralmd("spectrum", "bare.npz").stdout
    assert (workplace / "spectrum.png").exists()


def test_files_with_and_without_time_steps(neuralmd: Neuralmd, workplace: Path) -> None:
    """One time step is for the files that state none; several are one for each."""
    fine = read(workplace / "water.h5")
    for name, every in (("fine.xyz", 1), ("coarse.xyz", 4)):
        images = [ase.Atoms(fine.system.symbols, positions=frame) for frame in fine.positions[::every]]
        ase.io.write(workplace / name, images, format="extxyz")

    def steps(*words: str) -> list[float]:
        shown = neuralmd("spectrum", *words, "--output", "figures", "--overwrite", "--resolution", "50").stdout
        return [float(step) for step in re.findall(r"\.(?:h5|xyz)\s+([0-9.]+)\s+\d+\s+(?:stored|central)", shown)]

    assert steps("water.h5", "fine.xyz", "--timestep", "0.5") == [0.5, 0.5]
    assert steps("water.h5", "coarse.xyz", "--timestep", "2") == [0.5, 2.0]
    assert steps("water.h5", "fine.xyz", "coarse.xyz", "--timestep", ",0.5,2") == [0.5, 0.5, 2.0]
    for given, expected in [
        ("0.5,2", "2 parts for 3 files"),
        ("a,0.5,2", "not 'a,0.5,2'"),
        ("0.7,0.5,2", "states a time step of 0.5 fs, but 0.7"),
        (",,2", "fine.xyz does not state its time step"),
    ]:
        words = ("spectrum", "water.h5", "fine.xyz", "coarse.xyz", "--timestep", given, "--output", "new")
        assert expected in neuralmd(*words, code=2).stderr


def test_files_of_different_engines(neuralmd: Neuralmd, workplace: Path) -> None:
    """Each file has its own units and atoms: they become one spectrum, and are told where they cannot be right."""
    fine = read(workplace / "water.h5").slice(0, 1000)
    write(fine, workplace / "fine.h5")
    write(fine, workplace / "x.trr")
    write(fine.slice(0, 1), workplace / "x.pdb")
    scaled = Trajectory.uniform(fine.system, fine.positions / BOHR, 0.5, velocities=fine.velocities * 1e3)
    write(scaled, workplace / "atomic.npz")
    words = ("spectrum", "fine.h5", "atomic.npz", "x.trr", "--resolution", "50", "--topology", ",,x.pdb")
    units = ("--length-unit", ",bohr,", "--velocity-unit", ",A/ps, nm/ps", "--timestep", "0.5")
    printed = neuralmd(*words, *units, "--output", "right")
    assert "note:" not in printed.stderr
    found = json.loads((workplace / "right" / "spectrum.json").read_text())["trajectories"]
    assert [found[name]["difference"] < 1e-3 for name in ("fine.h5", "atomic.npz", "x.trr")] == [True] * 3
    told = neuralmd(*words, "--timestep", "0.5", "--output", "wrong").stderr
    assert "note: atomic.npz: the stored velocities" in told
    assert re.search(r"note: atomic\.npz: neighbours are .* lengths are probably in bohr", told)
    assert "note: fine.h5" not in told
    for more, expected in [
        (("--length-unit", "bohr,A"), "--length-unit has 2 parts for 3 files: bohr,A"),
        (("--length-unit", "A,furlong,A"), "is one of A, nm, bohr, pm, or several, not 'A,furlong,A'"),
        (("--velocity-unit", "A/fs,,,"), "--velocity-unit has 4 parts for 3 files"),
        (("--velocity-unit", "knots"), "nm/ps, m/s, atomic, ase, or several, not 'knots'"),
        (("--topology", "x.pdb,x.pdb"), "--topology has 2 parts for 3 files"),
        (("--topology", ",,absent.pdb"), "the topology absent.pdb does not exist"),
        (("--topology", ",x.pdb,"), "x.trr: TRR holds coordinates without elements"),
    ]:
        assert expected in neuralmd(*words, *more, "--output", "new", code=2).stderr


def test_bad_input_is_one_line_and_writes_nothing(neuralmd: Neuralmd, workplace: Path) -> None:
    fine = read(workplace / "water.h5")
    bare = Trajectory.uniform(fine.system, fine.positions, 0.5)
    write(bare.slice(0, 10), workplace / "short.npz")
    order = np.random.default_rng(0).permutation(1000)
    write(Trajectory.uniform(fine.system, fine.positions[order], 0.5), workplace / "shuffled.npz")
    coarse = Trajectory.uniform(fine.system, fine.positions[:100], 1.0)
    write(concatenate([bare.slice(0, 100), coarse]), workplace / "mixed.npz")
    (workplace / "full").mkdir()
    (workplace / "full" / "spectrum.png").write_text("a figure")
    before = sorted(str(path) for path in workplace.rglob("*"))
    for words, expected in [
        (("absent.h5",), "absent.h5 does not exist"),
        (("short.npz",), "short.npz: a spectrum needs 18 frames in a row"),
        (("shuffled.npz",), "shuffled.npz: consecutive frames"),
        (("mixed.npz",), "--segments"),
        (("mixed.npz", "--segments", "5"), "segments [5]"),
        (("mixed.npz", "--segments", "one"), "0,1,2"),
        (("water.h5", "short.npz", "--labels", "one"), "2 files or runs need as many labels"),
        (("water.h5", "water.h5"), "came twice"),
        (("water.h5", "water.h5", "--labels", "a,a"), "came twice"),
        (("water.h5", "--gap", "0"), "gap"),
        (("water.h5", "--resolution", "-1"), "resolution"),
        (("water.h5", "--resolution", "1e5"), "ask for one of"),
        (("water.h5", "--timestep", "0.7"), "0.7"),
        (("water.h5", "--output", "full"), "--overwrite"),
        (("water.h5", "--output", "water.yaml"), "is a file"),
        (("water.h5", "--json", "full"), "is a folder"),
        ((), "Missing argument"),
    ]:
        assert expected in neuralmd("spectrum", *words, code=2).stderr, words
    assert sorted(str(path) for path in workplace.rglob("*")) == before
    assert "written" in neuralmd("spectrum", "mixed.npz", "--segments", "0", "--output", "full", "--overwrite").stdout
