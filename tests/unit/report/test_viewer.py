"""`nmd.view`: one page of HTML with the frames in it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

import neuralmd as nmd
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError


@pytest.fixture(scope="module")
def fine() -> Trajectory:
    return nmd.read(nmd.example("benzene")).slice(0, 41)


def scene_of(page: str) -> dict:
    found = re.search(r"const scene = (\{.*\});", page)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_all_frames(fine: Trajectory, tmp_path: Path) -> None:
    nmd.view(fine, beside=fine, stride=20).save(tmp_path / "view.html")
    scene = scene_of((tmp_path / "view.html").read_text())
    assert (scene["frames"], scene["timestep"], scene["stride"]) == (41, 0.5, 20)
    assert len(scene["bonds"]) == 12
    assert [path["ghost"] for path in scene["paths"]] == [False, True]
    steps = np.frombuffer(base64.b64decode(scene["paths"][0]["x"]), dtype="<i2").reshape(41, 12, 3)
    x = steps * scene["paths"][0]["unit"]
    np.testing.assert_allclose(x - x[0, 0], fine.positions - fine.positions[0, 0], atol=2e-4)


def test_it_loads_nothing_and_fits_into_a_line_of_markdown(fine: Trajectory) -> None:
    shown = nmd.view(fine)
    assert not re.search(r"https?:|import |src=", shown.page)
    assert "\n" not in shown._repr_html_()
    assert "kB" in repr(shown)


def test_two_that_differ_are_refused(fine: Trajectory) -> None:
    with pytest.raises(DataError, match="frame by frame"):
        nmd.view(fine, beside=fine.slice(0, 10))
