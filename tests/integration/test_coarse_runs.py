"""A coarse simulation rebuilt by a run that learned from a fine one, as a user does it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neuralmd.data.formats import read, write


@pytest.fixture
def coarse(workplace: Path, neuralmd) -> Path:
    printed = neuralmd("simulate", "H2O", "coarse.h5", "--coarse", "4", "--steps", "400", "--equilibration", "100")
    assert "coarse.h5: 100 frames of H2O" in printed.stdout
    assert "125 steps of 2 fs; `neuralmd reconstruct --stride 4` rebuilds frames 0.5 fs apart" in printed.stdout
    return workplace / "coarse.h5"


def test_from_a_coarse_simulation_to_a_fine_trajectory(coarse: Path, trained: Path, neuralmd) -> None:
    printed = neuralmd("reconstruct", "coarse.h5", "fine.h5", "--run", str(trained), "--stride", "4")
    assert "simulated in steps of 2 fs, but the run learned from 0.5 fs" in printed.stderr
    fine, known = read(coarse.with_name("fine.h5")), read(coarse)
    assert len(fine) == 397
    assert fine.timestep == pytest.approx(0.5)
    assert (fine.positions[::4] == known.positions).all()
    assert (
        "steps of"
        not in neuralmd(
            "reconstruct",
            "coarse.h5",
            "spline.h5",
            "--run",
            str(trained),
            "--stride",
            "4",
            "--method",
            "quintic_hermite",
        ).stderr
    )


def test_the_mismatch_of_files_is_told_drawn_and_written(coarse: Path, trained: Path, neuralmd) -> None:
    short = read(coarse.with_name("water.h5")).slice(0, 201)
    write(short, coarse.with_name("true.h5"))
    options = (
        "--run",
        str(trained),
        "--gap",
        "9.9",
        "--engine",
        "gfn2-xtb",
        "--figure",
        "new/m.png",
        "--json",
        "m.json",
    )
    printed = neuralmd("mismatch", "true.h5", "coarse.h5", *options)
    assert "true.h5" in printed.stdout
    assert "gfn2-xtb" in printed.stdout
    true, other = json.loads(coarse.with_name("m.json").read_text())
    assert (true["step_fs"], other["step_fs"]) == (0.5, 2.0)
    assert (true["mismatch"]["gap"], other["mismatch"]["gap"]) == (9.5, 8.0)
    assert (true["mismatch"]["gaps"], other["mismatch"]["gaps"]) == (10, 24)
    assert other["mismatch"]["velocity"] > true["mismatch"]["velocity"] > 0
    assert true["energies"]["evaluations"] == 10 * 20
    assert coarse.with_name("new").joinpath("m.png").read_bytes().startswith(b"\x89PNG")


def test_what_has_no_mismatch_is_refused_in_a_line(coarse: Path, trained: Path, neuralmd) -> None:
    def refusal(*words: str) -> str:
        return neuralmd("mismatch", *words, "--run", str(trained), code=2).stderr

    bare = replace(read(coarse), velocities=None, velocity_source=None)
    write(bare, coarse.with_name("bare.h5"))
    assert "bare.h5: holds no velocities" in refusal("bare.h5")
    assert "frames are 2 fs apart, which is more than a gap of 1 fs" in refusal("coarse.h5", "--gap", "1")
    assert "100 frames 2 fs apart hold no gap of 1000 fs" in refusal("coarse.h5", "--gap", "1000")
    assert "must be positive" in refusal("coarse.h5", "--gap", "nan")
    assert "missing.h5" in refusal("missing.h5")
    assert "dftb" in refusal("coarse.h5", "--engine", "dftb")
    neuralmd("simulate", "H2", "h2.h5", "--steps", "20", "--equilibration", "1")
    assert "H2" in refusal("h2.h5")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--coarse", "0"), "coarse must be at least 1, but is 0"),
        (("--coarse", "4", "--every", "10"), "every must be a multiple of coarse, 4, but is 10"),
        (("--coarse", "40", "--steps", "400"), "blew up|failed"),
    ],
)
def test_a_bad_coarse_step_is_refused_in_a_line(options: tuple[str, ...], complaint: str, neuralmd) -> None:
    stderr = neuralmd("simulate", "H2O", "bad.h5", *options, code=2).stderr
    assert any(words in stderr for words in complaint.split("|"))
