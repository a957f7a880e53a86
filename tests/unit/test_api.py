"""The names of `import neuralmd`, and what they say of themselves."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import neuralmd as nmd
from neuralmd.config import shipped
from neuralmd.data.windows import Frames, cut
from neuralmd.errors import DataError
from neuralmd.examples import FILES


@pytest.mark.parametrize("name", nmd.__all__)
def test_every_name_is_there_and_no_module_hides_it(name: str) -> None:
    value = getattr(nmd, name)
    importlib.import_module("neuralmd.cli.experiments")  # brings many modules in
    assert getattr(nmd, name) is value
    assert not isinstance(value, type(sys))


def test_the_names_are_all_that_is_listed() -> None:
    assert dir(nmd) == sorted(nmd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'reconstruct'; did you mean 'rebuild'"):
        _ = nmd.reconstruct
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        _ = nmd.nothing


def test_examples_are_there_and_small() -> None:
    sizes = {name: nmd.example(name) for name in FILES}
    assert all(path.exists() for path in sizes.values())
    whole = sum(path.stat().st_size for path in nmd.example("benzene").parent.rglob("*") if path.is_file())
    assert whole < 4e6
    with pytest.raises(DataError, match="neural-ode"):
        nmd.example("water")


def test_objects_tell_what_they_are() -> None:
    fine = nmd.read(nmd.example("benzene"))
    run = nmd.load(nmd.example("neural-ode"))
    frames = Frames.of(fine)
    window = cut(frames, torch.tensor([0]), 20, torch.float32)
    with torch.no_grad():
        path = run.model(window.anchors, window.times)
    assert repr(fine) == "Trajectory(C6H6, 12 atoms, 2000 frames, dt 0.5 fs, stored velocities)"
    assert repr(frames) == "Frames(C6H6, 2000 frames, dt 0.5 fs)"
    assert repr(window) == "Window(Anchors(gap 10 fs, batch 1, 12 atoms), 19 hidden frames)"
    assert repr(path) == "Path(19 times, batch 1, 12 atoms, with error bars)"
    assert repr(run.model).startswith(
        "BidirectionalODE(EquivariantField(18320 parameters), solver=VelocityVerlet(step=0.5"
    )
    assert "18320 weights for C6H6, dt 0.5 fs, stride 20" in repr(run)
    assessment = nmd.Assessment.of(nmd.example("neural-ode"), nmd.example("benzene"))
    assert "Windows(99 gaps of 10 fs, stride 20, of " in repr(assessment)
    assert "\n" not in repr(assessment)


def test_an_experiment_tells_what_it_is_in_a_line_and_is_yaml_in_full(tmp_path: Path) -> None:
    config = tmp_path / "benzene.yaml"
    config.write_text(shipped.text_of("benzene"))
    found = nmd.experiment(config)
    assert repr(found) == "Experiment(benzene: data/benzene.h5, stride 20, neural_ode, equivariant field, 15 min)"
    config.write_text(str(found))
    assert nmd.experiment(config) == found


def test_a_notebook_shows_progress_as_text_and_leaves_nothing() -> None:
    pytest.importorskip("ipykernel")
    from nbclient import NotebookClient
    from nbformat import v4

    class Watching(NotebookClient):
        shown: ClassVar[list[str]] = []

        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            self.shown.append(msg["content"].get("data", {}).get("text/plain", ""))
            return super().process_message(msg, cell, cell_index)

    code = """
import time
from neuralmd.progress import progress
with progress("rebuild", 3, unit="gaps") as advance:
    time.sleep(0.3)
    advance(2)
"""
    notebook = v4.new_notebook(cells=[v4.new_code_cell(code)])
    Watching(notebook, kernel_name="python3").execute()
    assert any("rebuild" in text and "2/3 gaps" in text for text in Watching.shown)
    assert [output["data"]["text/plain"] for output in notebook.cells[0].outputs] == [""]


def test_no_bar_where_nobody_watches() -> None:
    code = "from neuralmd.progress import progress\nwith progress('go', 3) as advance:\n    advance(3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
