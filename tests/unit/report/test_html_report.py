"""The page of a report: nothing of a file's names gets out of its place, scripts are ours only, numbers are right."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import browser
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neuralmd.errors import DataError
from neuralmd.report.html.embedding import for_script
from neuralmd.report.html.figures import Figure
from neuralmd.report.html.page import Page
from neuralmd.report.html.parts import Errors, Fact, Row, Tile
from neuralmd.report.html.scene import Layer, Scene
from neuralmd.report.html.words import formula, length, milli
from neuralmd.system import System

STRIDE, GAPS = 10, 4
FRAMES = STRIDE * GAPS + 1
HOSTILE = "\"'></script></title><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"
ASSETS = Path(__file__).resolve().parents[3] / "neuralmd" / "report" / "html" / "assets"


def hidden() -> np.ndarray:
    return np.arange(FRAMES) % STRIDE != 0


def truth() -> np.ndarray:
    """Water that stretches, turns and drifts [A]."""
    time = np.arange(FRAMES)[:, None, None]
    rest = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    return rest * (1.0 + 0.1 * np.sin(0.3 * time)) + 0.01 * time * np.array([1.0, 2.0, 0.5])


def scene(name: str = "neural ODE") -> Scene:
    """Rebuilt frames, of which the second hydrogen errs, by 4 mA in the middle of each gap and of the third by 8."""
    bump = np.sin(np.pi * (np.arange(FRAMES) % STRIDE) / STRIDE)
    bump[2 * STRIDE : 3 * STRIDE] *= 2.0
    off = np.zeros((FRAMES, 3, 3))
    off[:, 2, 2] = 4e-3 * bump
    bars = np.repeat(2e-3 * bump[:, None], 3, axis=1)
    layers = (Layer("neural_ode", name, truth() + off, bars), Layer("cubic_hermite", "spline", truth() + 5 * off))
    return Scene(System.from_atomic_numbers([8, 1, 1]), 0.5, STRIDE, layers, truth(), 0.9, "water.h5")


def page(words: str = "water", shown: Scene | None = None) -> Page:
    shown = shown or scene(words)
    return Page(
        name=words,
        formula="H2O",
        headline=words,
        lead=words,
        tiles=[Tile(words, words, words)],
        notes=[words],
        scene=replace(shown, source=words),
        errors=Errors(words, ["Method", words], [Row(words, words, [words], emphasised=True)], words),
        figures=[Figure(words, words, words, "data:image/png;base64,", "full")],
        facts=[Fact(words, words)],
        commands=[words],
        settings=words,
    )


class Elements(HTMLParser):
    """The elements of a page, its scripts and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def test_no_name_gets_out_of_its_place() -> None:
    found, plain = Elements(page(HOSTILE).html()), Elements(page().html())
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in found.tags] == [sorted(attributes) for _, attributes in plain.tags]
    assert sum(HOSTILE in text for text in found.texts) >= 12
    assert json.loads(found.scripts[0])["layers"][0]["label"] == HOSTILE
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_json_in_a_script_is_what_it_was_and_cannot_end_it(text: str) -> None:
    written = for_script({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert not set("<>&\u2028\u2029") & set(written)


def test_the_policy_allows_these_scripts_and_nothing_else() -> None:
    text = page().html()
    found = Elements(text)
    policy = next(each["content"] for tag, each in found.tags if tag == "meta" and "http-equiv" in each)
    assert policy is not None
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in found.scripts[1:]]
    assert re.findall(r"'sha256-([^']+)'", policy) == digests
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert [each for tag, each in found.tags if tag in ("link", "iframe", "object")] == [
        {"rel": "icon", "href": "data:,"}
    ]
    assert all(str(each.get("src", "data:")).startswith("data:") for _, each in found.tags)


def test_the_viewer_is_shipped_whole_with_its_licence() -> None:
    library = (ASSETS / "3Dmol-min.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"
    licence = (ASSETS / "3Dmol-LICENSE.txt").read_text()
    assert "University of Pittsburgh" in licence
    assert Elements(page().html()).texts.count(licence) == 1


def test_a_scene_keeps_errors_and_takes_drift_out() -> None:
    shown = scene()
    values = shown.to_dict()
    assert values["known"] == [0, 10, 20, 30, 40]
    assert sorted(map(sorted, values["bonds"])) == [[0, 1], [0, 2]]
    unpacked = np.frombuffer(base64.b64decode(values["layers"][0]["positions"]), "<f4").reshape(FRAMES, 3, 3)
    true = np.frombuffer(base64.b64decode(values["truth"]), "<f4").reshape(FRAMES, 3, 3)
    assert np.allclose(unpacked - true, shown.layers[0].positions - truth(), atol=1e-6)
    assert np.allclose(unpacked.mean(axis=1), 0.0, atol=1e-6)
    error = shown.root_mean_square_error(0)
    assert error == pytest.approx(np.sqrt(np.square((shown.layers[0].positions - truth())[hidden()]).mean()))
    assert shown.root_mean_square_error(1) == pytest.approx(5 * error)
    assert replace(shown, truth=None).root_mean_square_error(0) is None


def test_a_scene_in_a_cell_stays_in_it() -> None:
    system = System(np.array([18, 18]), np.full(2, 39.9), 8.0 * np.eye(3), np.ones(3, dtype=bool))
    moving = np.arange(21)[:, None, None] * 0.01 + np.array([[1.0, 1.0, 1.0], [7.9, 1.0, 1.0]])
    values = Scene(system, 1.0, 10, (Layer("linear", "line", moving),), None, None, "argon").to_dict()
    assert values["cell"] == (8.0 * np.eye(3)).tolist()
    unpacked = np.frombuffer(base64.b64decode(values["layers"][0]["positions"]), "<f4").reshape(21, 2, 3)
    assert np.allclose(unpacked - np.array(values["origin"]), moving, atol=1e-5)


def test_lengths_and_formulas() -> None:
    assert [length(value) for value in (0.0, 1.284e-4, 5.07e-3, 0.0321, 0.26, 1.5)] == [
        "0.00 mÅ",
        "0.13 mÅ",
        "5.07 mÅ",
        "32.1 mÅ",
        "0.26 Å",
        "1.50 Å",
    ]
    assert [milli(value) for value in (9.994e-3, 9.996e-3, 0.09994, 0.09996)] == ["9.99", "10.0", "99.9", "100"]
    assert formula("C2H6O") == "C<sub>2</sub>H<sub>6</sub>O"
    assert formula("<b>") == "&lt;b&gt;"


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    assert page().write(target) == target.stat().st_size
    with pytest.raises(DataError, match="--overwrite"):
        page().write(target)
    with pytest.raises(ValueError, match="JSON compliant"):
        page(shown=replace(scene(), level=float("nan"))).write(target, overwrite=True)
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    page(HOSTILE).write(path)
    return path


ATOMS = "neuralmd.model.selectedAtoms({}).map((atom) => [atom.x, atom.y, atom.z])"
COLOURS = "neuralmd.model.selectedAtoms({}).map((atom) => atom.style.sphere.colorfunc(atom))"


def drawn(view: browser.Opened) -> np.ndarray:
    """What the viewer drew, as red, green, blue and how opaque."""
    png = view.ask("neuralmd.viewer.pngURI()").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")).astype(int)


def grey(picture: np.ndarray) -> float:
    """Part of a picture that is drawn, and of no colour."""
    colours = picture[..., :3]
    return float(((picture[..., 3] > 200) & (np.ptp(colours, axis=-1) < 24) & (colours.max(axis=-1) > 60)).mean())


def test_the_viewer_shows_atoms_and_the_slider_moves_them(written: Path) -> None:
    with browser.opened(written) as view:
        view.wait_until("window.neuralmd !== undefined")
        slider = view.page.locator("#frame")
        assert view.ask("neuralmd.state.frame") == int(slider.input_value()) == 25  # where the error is largest
        assert view.ask("neuralmd.model.selectedAtoms({}).length") == 3
        first = drawn(view)
        assert 0.01 < (first[..., 3] > 200).mean() < 0.9
        before, colours = np.array(view.ask(ATOMS)), view.ask(COLOURS)
        # Only the second hydrogen errs.
        assert colours[0] == colours[1] != colours[2]

        slider.focus()
        view.page.keyboard.press("ArrowRight")
        after = np.array(view.ask(ATOMS))
        expected = scene().layers[0].positions
        centred = expected - expected.mean(axis=1, keepdims=True)
        assert np.allclose(before, centred[25], atol=1e-5)
        assert np.allclose(after, centred[26], atol=1e-5)
        assert slider.get_attribute("aria-valuetext") == view.page.locator("#readout").inner_text().replace(" · ", ", ")

        view.page.keyboard.press("PageUp")
        assert "15 fs, frame 31 of 41, known frame" in (slider.get_attribute("aria-valuetext") or "")
        assert view.page.locator("#badge").inner_text() == "15 fs · known frame"
        assert set(view.ask(COLOURS)) == {0x98A2AE}
        assert np.abs(drawn(view) - first).max() > 50
        assert (view.complaints, view.requests, view.dialogs) == ([], [], [])


def test_errors_can_be_drawn_larger_beside_the_truth_and_another_method_shown(written: Path) -> None:
    with browser.opened(written) as view:
        view.page.locator("#gain").select_option("50")
        apart = "neuralmd.viewer.getModel(1).selectedAtoms({}).map((a) => [a.x, a.y, a.z])"
        off = np.array(view.ask(ATOMS)) - np.array(view.ask(apart))
        assert view.page.locator("#ghost").is_checked()
        assert "50 times larger" in view.page.locator("#badge").inner_text()
        assert off == pytest.approx(50 * (scene().layers[0].positions - truth())[25], abs=1e-4)
        with_shadow = grey(drawn(view))
        view.page.locator("#ghost").uncheck()
        assert with_shadow > 4e-4 + 2 * grey(drawn(view))
        view.page.locator("#layer").select_option("1")
        assert view.page.locator("#colour option").all_inner_texts() == ["error, against the truth", "element"]
        assert "error 13.3 mÅ" in view.page.locator("#readout").inner_text()
        view.page.locator("#play").click()
        view.wait_until("neuralmd.state.frame !== 25")
        assert view.page.locator("#play").get_attribute("aria-label") == "Pause"
        assert (view.complaints, view.requests, view.dialogs) == ([], [], [])


def test_a_narrow_dark_page_without_the_truth_fits(tmp_path: Path) -> None:
    alone = scene()
    bars = Layer("neural_ode", "neural ODE", alone.layers[0].positions, alone.layers[0].error_bars)
    page(shown=replace(alone, layers=(bars,), truth=None)).write(tmp_path / "bars.html")
    with browser.opened(tmp_path / "bars.html", width=340, dark=True) as view:
        assert view.ask("document.scrollingElement.scrollWidth") <= 340
        assert view.ask("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 22)"
        assert view.page.locator("#colour").input_value() == "bar"
        assert view.page.locator("#layer-label").is_hidden()
        assert view.page.locator(".truth").first.is_hidden()
        assert "error bar 4.00 mÅ" in view.page.locator("#readout").inner_text()
        assert (view.complaints, view.requests) == ([], [])
