"""`neuralmd fit-and-reconstruct`, killed in each of its stages: the same command goes on, to the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import matplotlib.backends.backend_agg  # noqa: F401 - here, so that the forked processes need not import it each
import pytest
import torch

import neuralmd.fitting
import neuralmd.reconstruction.plan
import neuralmd.report.evaluation  # noqa: F401 - the same
from neuralmd.cli import main
from neuralmd.data.formats import read, write

pytestmark = pytest.mark.slow

STEPS = 120
SMALL = (
    "model.field.channels=4",
    "model.field.radial_width=8",
    "data.purge=20",
    f"training.max_steps={STEPS}",
    "training.validate_every=60",
    "training.checkpoint_every=20",
    "tracking.wandb=disabled",
    "device=cpu",
)
WORDS = ("fit-and-reconstruct", "water.h5", "coarse.h5", "fine.h5", "--minutes", "60", *SMALL)
BLOCKS = 3


@pytest.fixture
def place(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a fine file, and a coarse one of 149 gaps."""
    monkeypatch.chdir(workplace)
    write(read("water.h5").slice(0, 1491, 10), workplace / "coarse.h5")
    return workplace


def begin() -> BaseProcess:
    """A process that carries out the command."""

    def work() -> None:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        main(WORDS)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python dislikes forks of processes with threads; this one's sleep
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
    return process


def steps() -> int:
    """How far the training is."""
    path = Path("runs/fine/last.pt")
    return torch.load(path, weights_only=True)["progress"]["step"] if path.exists() else 0


def blocks() -> int:
    return len(list(Path("fine.h5.blocks").glob("block-*.npz")))


STAGES: dict[str, Callable[[], bool]] = {
    "training": lambda: 0 < steps() < STEPS,
    "fitting": lambda: steps() == STEPS and not Path("runs/fine/summary.json").exists(),
    "evaluating": lambda: Path("runs/fine/summary.json").exists() and not Path("fine.h5.blocks").exists(),
    "rebuilding": lambda: 0 < blocks() < BLOCKS,
    "joining": lambda: blocks() == BLOCKS,
}
"""Stage -> whether the command is in it."""


def kill_while(reached: Callable[[], bool]) -> None:
    process = begin()
    deadline = time.monotonic() + 300.0
    while not reached():
        assert process.is_alive(), process.exitcode
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -9


def finish() -> bytes:
    process = begin()
    process.join(300.0)
    assert process.exitcode == 0
    assert not Path("fine.h5.blocks").exists()
    return Path("fine.h5").read_bytes()


def test_killed_in_every_stage_it_goes_on_to_the_same_bytes(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    unbroken = finish()
    told = json.loads(Path("runs/fine/evaluation.json").read_text())
    for name in ("fine.h5", "fine.yaml", "runs"):
        (place / name).rename(place / f"unbroken-{name}")
    done = {}
    for stage, reached in STAGES.items():
        kill_while(reached)
        assert not Path("fine.h5").exists(), stage
        done[stage] = steps()
    assert done["training"] < STEPS
    assert finish() == unbroken
    again = json.loads(Path("runs/fine/evaluation.json").read_text())
    assert again["methods"]["neural_ode"]["mae"] == told["methods"]["neural_ode"]["mae"]

    # Killed when the file had its name and its blocks were not yet removed: it ends as if nothing had happened.
    Path(".fine.h5.blocks.finished").mkdir()
    assert finish() == unbroken
    assert [path.name for path in place.iterdir() if "blocks" in path.name] == []
    with pytest.raises(SystemExit) as ended:
        main(WORDS)
    assert ended.value.code == 2
    assert "fine.h5 exists already" in capfd.readouterr().err
