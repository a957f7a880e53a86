"""`neuralmd report` with a real trained run: of its own test part, of a rebuilt file, and of what it must refuse."""

from __future__ import annotations

import base64
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import browser
import numpy as np
import pytest

from neuralmd.data.formats import read, write
from neuralmd.data.trajectory import Trajectory

if TYPE_CHECKING:
    from conftest import Neuralmd


@pytest.fixture
def run(trained: Path, workplace: Path) -> Path:
    (workplace / "runs").mkdir(exist_ok=True)
    return shutil.copytree(trained, workplace / "runs" / "water")


def scene_of(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="scene">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def positions(packed: str, frames: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), "<f4").reshape(frames, -1, 3)


def test_a_run_alone_is_enough(run: Path, workplace: Path, neuralmd: Neuralmd) -> None:
    before = sorted(path.name for path in run.iterdir())
    assert "61 frames in 3-D" in neuralmd("report", "runs/water", "--frames", "65").stdout
    assert sorted(path.name for path in run.iterdir()) == before
    page = workplace / "report.html"
    scene = scene_of(page)
    assert (scene["frames"], scene["stride"], scene["known"]) == (61, 10, list(range(0, 61, 10)))
    own, spline = (positions(layer["positions"], 61) for layer in scene["layers"])
    true = positions(scene["truth"], 61)
    assert np.abs(own - true)[::10].max() < 1e-5
    assert 0 < np.abs(own - true).mean() < np.abs(spline - true).mean()
    text = page.read_text()
    for told in ("water.h5 (test part)", "neuralmd train", "Vibrational spectrum", "cubic Hermite spline", "300 steps"):
        assert told in text
    neuralmd("evaluate", "runs/water", "--json", "errors.json")
    mae = json.loads((workplace / "errors.json").read_text())["methods"]["neural_ode"]["mae"]
    assert f"{1e3 * mae:.2f} mÅ" in text
    assert text.count('src="data:image/') == 3
    with browser.opened(page) as view:
        view.wait_until("window.neuralmd !== undefined")
        assert view.ask("neuralmd.model.selectedAtoms({}).length") == 3
        assert view.ask("[...document.images].every((image) => image.naturalWidth > 0)")
        assert (view.complaints, view.requests) == ([], [])


def test_a_rebuilt_file_with_and_without_its_truth(run: Path, workplace: Path, neuralmd: Neuralmd) -> None:
    neuralmd("thin", "water.h5", "coarse.h5", "--stride", "10", "--start", "1205")
    neuralmd("reconstruct", "coarse.h5", "<b>fine.h5", "--run", "runs/water", "--stride", "10")
    words = ("report", "runs/water", "--trajectory", "<b>fine.h5", "--frames", "101")
    neuralmd(*words, "--truth", "water.h5", "--output", "truth.html")
    scene = scene_of(workplace / "truth.html")
    shown = slice(scene["first"], scene["first"] + 101)
    fine, truth = read(workplace / "<b>fine.h5").positions[shown], read(workplace / "water.h5").positions[1205:][shown]
    shift = fine.mean(axis=1, keepdims=True)
    assert np.allclose(positions(scene["layers"][0]["positions"], 101), fine - shift, atol=1e-5)
    assert np.allclose(positions(scene["truth"], 101), truth - shift, atol=1e-5)
    text = (workplace / "truth.html").read_text()
    assert "<b>" not in text
    assert "from coarse.h5, by neural_ode, of the run water" in text

    # The truth may come from another engine, in units of its own.
    theirs = Trajectory.uniform(read(workplace / "water.h5").system, read(workplace / "water.h5").positions / 10, 0.5)
    write(theirs, workplace / "theirs.npz")
    elsewhere = (*words, "--truth", "theirs.npz", "--data", "water.h5", "--output", "theirs.html", "--length-unit")
    neuralmd(*elsewhere, ",nm,")
    assert "neuralmd evaluate runs/water --stride 10 --data water.h5" in (workplace / "theirs.html").read_text()
    assert scene_of(workplace / "theirs.html")["truth"] == scene["truth"]
    assert "--length-unit has 2 parts for 3 files" in neuralmd(*elsewhere, "A,nm", "--overwrite", code=2).stderr

    # The run's own trajectory may be gone, as it is where only the run was copied to.
    (workplace / "water.h5").unlink()
    assert "101 frames in 3-D" in neuralmd(*words, "--output", "bare.html").stdout
    text = (workplace / "bare.html").read_text()
    assert scene_of(workplace / "bare.html")["truth"] is None
    assert "The run&#39;s own trajectory is not there" in text
    assert "atoms have element colours" in text


def test_flags_of_a_rebuilt_file_are_shown_and_explained(run: Path, workplace: Path, neuralmd: Neuralmd) -> None:
    """Two known frames are too hot: their three gaps are flagged, shown in 3-D, and told in the table."""
    known = read(workplace / "water.h5").slice(0, 1201, 10)
    velocities = known.velocities.copy()
    velocities[100:102] *= 5.0
    write(replace(known, velocities=velocities), workplace / "hot.h5")
    neuralmd("reconstruct", "hot.h5", "fine.h5", "--run", "runs/water", "--stride", "10")
    neuralmd("report", "runs/water", "--trajectory", "fine.h5", "--frames", "101")
    text, scene = (workplace / "report.html").read_text(), scene_of(workplace / "report.html")
    assert re.search(r"<strong>3 \(2%\)</strong> a known frame hotter or colder than the training data", text)
    assert re.search(r"fs</th><td>\d</td>.*a known frame at \d+ K, trained on", text)
    first = scene["first"]
    assert first <= 990
    assert first + 101 > 1020
    flags = read(workplace / "fine.h5").trust.flags
    assert [flags[first + 10 * gap + 1] for gap in range(10)] == scene["flags"]
    assert f"{np.count_nonzero(flags[1::10] == 0)} of 120" in text
    with browser.opened(workplace / "report.html") as view:
        view.wait_until("window.neuralmd !== undefined")
        view.ask(f"neuralmd.setFrame({1005 - first})")
        readout = view.ask("document.getElementById('readout').textContent")
        assert readout.startswith("502.5 fs · frame 1006 · rebuilt, 5 of 9 in its gap")
        assert "flag: temperature unlike the training data" in readout
        assert view.ask("document.getElementById('badge').textContent") == "502.5 fs · rebuilt, flagged"
        assert view.ask("document.querySelectorAll('#timeline rect').length") == np.count_nonzero(scene["flags"])
        view.ask("neuralmd.setFrame(0)")
        assert "flag" not in view.ask("document.getElementById('readout').textContent")
        assert (view.complaints, view.requests) == ([], [])


def test_what_is_refused(run: Path, workplace: Path, neuralmd: Neuralmd) -> None:
    neuralmd("thin", "water.h5", "coarse.h5", "--stride", "10")
    neuralmd("reconstruct", "coarse.h5", "fine.h5", "--run", "runs/water", "--stride", "10")
    neuralmd("simulate", "CH4", "methane.h5", "--steps", "30", "--equilibration", "5")
    moved = read(workplace / "water.h5")
    write(moved.slice(5, 300), workplace / "later.h5")
    (workplace / "text.h5").write_text("nothing")
    (workplace / "there.html").write_text("mine")
    file = ("--trajectory", "fine.h5")
    for words, expected in [
        (("--output", "there.html"), "there.html exists already"),
        (("--output", "runs"), "runs is a folder"),
        (("--frames", "10"), "--frames 10 does not hold a gap: at stride 10, give 11 or more"),
        (("--frames", "2"), "--frames must be at least 3"),
        (("--stride", "1"), "stride must be at least 2"),
        (("--truth", "water.h5"), "name that file with --trajectory"),
        (("--trajectory", "absent.h5"), "absent.h5 does not exist"),
        (("--trajectory", "text.h5"), "text.h5"),
        (("--trajectory", "methane.h5"), "trained on H2O"),
        (("--trajectory", "water.h5"), "does not say how many frames apart its known frames are: give --stride"),
        ((*file, "--stride", "0"), "stride must be at least 2"),
        ((*file, "--stride", "2000"), "fine.h5 is shorter than one gap of stride 2000"),
        ((*file, "--truth", "later.h5"), "later.h5 is not the truth of the rebuilt file"),
        ((*file, "--truth", "absent.h5"), "absent.h5 does not exist"),
    ]:
        assert expected in neuralmd("report", "runs/water", *words, code=2).stderr, words
        assert not (workplace / "report.html").exists(), words
    assert "train first" in neuralmd("report", "runs/absent", code=2).stderr
    assert (workplace / "there.html").read_text() == "mine"
