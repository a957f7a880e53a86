"""`nmd.view`: one page of HTML with the frames in it, drawn by the library that reports use."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import browser
import numpy as np
import pytest

import neuralmd as nmd
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.trust import Trust
from neuralmd.errors import DataError
from neuralmd.report.html import embedding

ATOMS = "neuralmd.model.selectedAtoms({}).map((atom) => [atom.x, atom.y, atom.z])"
COLOURS = "neuralmd.model.selectedAtoms({}).map((atom) => atom.style.sphere.colorfunc(atom))"


@pytest.fixture(scope="module")
def fine() -> Trajectory:
    return nmd.read(nmd.example("benzene")).slice(0, 41)


@pytest.fixture(scope="module")
def barred(fine: Trajectory) -> Trajectory:
    """Every 20th frame is known, and of the others the twelfth atom is the least certain."""
    bars = np.tile(np.linspace(1e-3, 4e-3, 12, dtype=np.float32), (41, 1))
    bars[::20] = 0.0
    trust = Trust(np.zeros(41, dtype=np.uint8), bars, bars.mean(axis=1))
    return replace(fine, trust=trust, metadata={"error_bar_level": "0.9"})


def inside(page: str, element: str) -> str:
    found = re.search(rf'<script type="[a-z/]+" id="{element}">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return found[1]


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def centred(positions: np.ndarray) -> np.ndarray:
    return positions - positions.mean(axis=1, keepdims=True)


def test_the_page_holds_all_frames(fine: Trajectory, tmp_path: Path) -> None:
    moved = replace(fine, positions=fine.positions + 1e-3)
    nmd.view(fine, beside=moved, stride=20).save(tmp_path / "view.html")
    scene = json.loads(inside((tmp_path / "view.html").read_text(encoding="utf-8"), "scene"))
    assert (scene["frames"], scene["timestep"], scene["stride"], scene["known"]) == (41, 0.5, 20, [0, 20, 40])
    assert (len(scene["bonds"]), scene["level"], scene["layers"][0]["bars"]) == (12, None, None)
    x = unpacked(scene["layers"][0]["positions"]).reshape(41, 12, 3)
    np.testing.assert_allclose(x, centred(fine.positions), atol=1e-6)
    np.testing.assert_allclose(unpacked(scene["truth"]).reshape(41, 12, 3) - x, 1e-3, atol=1e-6)


def test_known_frames_are_told_only_where_a_stride_is(fine: Trajectory) -> None:
    scene = json.loads(inside(nmd.view(fine).page, "scene"))
    assert (scene["stride"], scene["known"], scene["truth"], len(scene["bonds"])) == (None, [], None, 12)
    with pytest.raises(DataError, match="at least 1, but is 0"):
        nmd.view(fine, stride=0)


def test_it_loads_nothing_and_fits_into_a_line_of_markdown(fine: Trajectory) -> None:
    shown = nmd.view(fine)
    assert not re.search(r"https?:|import |src=", shown.page)
    assert "\n" not in shown._repr_html_()
    assert "kB" in repr(shown)


def test_it_runs_the_library_of_the_reports_packed_with_its_licence(fine: Trajectory) -> None:
    page = nmd.view(fine).page
    scripts = gzip.decompress(base64.b64decode(inside(page, "packed"))).decode()
    library = embedding.asset(embedding.LIBRARY)
    assert library in scripts
    assert embedding.asset(embedding.LICENCE) in scripts
    assert len(inside(page, "packed")) < 0.45 * len(library)
    digest = base64.b64encode(hashlib.sha256(scripts.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert f"'sha256-{digest}'" in html.unescape(policy[1])


def test_two_that_differ_are_refused(fine: Trajectory) -> None:
    with pytest.raises(DataError, match="frame by frame"):
        nmd.view(fine, beside=fine.slice(0, 10))


def test_a_large_system_is_shown_for_fewer_frames(fine: Trajectory) -> None:
    many = nmd.System.from_atomic_numbers([2] * 25_000)
    grid = 4.0 * np.stack(np.meshgrid(*3 * [np.arange(30.0)]), axis=-1).reshape(-1, 3)[:25_000]
    long = Trajectory.uniform(many, np.broadcast_to(grid, (30, 25_000, 3)), 1.0)
    assert json.loads(inside(nmd.view(long).page, "scene"))["frames"] == 20


def test_error_bars_colour_the_atoms(barred: Trajectory, tmp_path: Path) -> None:
    nmd.view(barred, stride=20).save(tmp_path / "view.html")
    with browser.opened(tmp_path / "view.html") as view:
        view.wait_until("window.neuralmd !== undefined")
        assert view.page.locator("#colour").input_value() == "bar"
        assert view.page.locator("#legend-title").inner_text() == "error bar, 90 %"
        colours = view.ask(COLOURS)
        assert len(set(colours)) == 12
        assert colours[-1] == 0xB81D2C
        slider = view.page.locator("#frame")
        before = int(slider.input_value())
        slider.focus()
        view.page.keyboard.press("ArrowRight")
        assert np.allclose(view.ask(ATOMS), centred(barred.positions)[before + 1], atol=1e-5)
        view.page.keyboard.press("PageUp")
        assert view.page.locator("#badge").inner_text() == "10 fs · known frame"
        assert (view.complaints, view.requests, view.dialogs) == ([], [], [])


def test_a_notebook_shows_it_beside_the_truth_in_a_frame_of_its_own(fine: Trajectory, tmp_path: Path) -> None:
    off = np.zeros((41, 12, 3))
    off[6, :, 0] = 2e-3
    moved = replace(fine, positions=fine.positions + off)
    shown = nmd.view(moved, beside=fine, height=400)
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{shown._repr_html_()}", "utf-8")
    with browser.opened(tmp_path / "notebook.html", width=720) as view:
        inner = view.page.frame_locator("iframe")
        inner.locator("#readout", has_text="error 1.15 mÅ").wait_for()
        assert inner.locator("#badge").inner_text() == "3 fs"  # where the error is largest
        assert inner.locator("#legend .known").is_hidden()
        assert view.page.locator("iframe").evaluate("(it) => it.contentDocument.scrollingElement.scrollHeight") <= 400
        inner.locator("#play").click()
        inner.locator("#badge", has_text="3.5 fs").wait_for()
        assert (view.complaints, view.requests, view.dialogs) == ([], [], [])
