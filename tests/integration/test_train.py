"""`neuralmd train` on a real trajectory: what it leaves, and that a killed training loses nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

TWO_STAGES = (
    "training.stages=[{kind: derivative, share: 0.5}, {kind: trajectory, share: 0.5, first_stride: 4, batch_size: 2}]"
)
STEPS = 160
SHORT = (f"training.max_steps={STEPS}",)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "last.pt", weights_only=True)


def kill_at_a_checkpoint(workplace: Path, arguments: tuple[str, ...]) -> None:
    """Start a training and kill it outright as soon as its first checkpoint is there."""
    command = [sys.executable, "-m", "neuralmd", "train", "water.yaml", *arguments]
    with subprocess.Popen(command, cwd=workplace, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120.0
        while not (workplace / "runs" / "water" / "last.pt").exists():
            assert process.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    "stages",
    [("model.correction={strides: [10, 5]}",), (TWO_STAGES,)],
    ids=["derivative, corrected", "then trajectory"],
)
def test_a_killed_training_resumes_to_the_same_weights(workplace: Path, neuralmd, stages: tuple[str, ...]) -> None:
    arguments = (*SHORT, *stages)
    neuralmd("train", "water.yaml", *arguments)
    unbroken = weights(workplace / "runs" / "water")
    lines = (workplace / "runs" / "water" / "metrics.jsonl").read_text()
    (workplace / "runs" / "water").rename(workplace / "runs" / "unbroken")
    kill_at_a_checkpoint(workplace, arguments)
    killed_at = weights(workplace / "runs" / "water")["progress"]["step"]
    neuralmd("train", "water.yaml", *arguments, "--resume")
    resumed = weights(workplace / "runs" / "water")
    assert killed_at < STEPS, "the training ended before it was killed, so nothing was resumed"
    assert resumed["progress"]["step"] == unbroken["progress"]["step"] == STEPS
    assert resumed["progress"]["best"] == unbroken["progress"]["best"]
    for part in ("model", "average"):
        assert all(torch.equal(resumed[part][name], unbroken[part][name]) for name in unbroken[part])
    validations = [json.loads(line).get("validation/mae_A") for line in lines.splitlines()]
    again = (workplace / "runs" / "water" / "metrics.jsonl").read_text()
    assert [json.loads(line).get("validation/mae_A") for line in again.splitlines()] == validations


def test_the_trajectory_objective_improves_a_matched_field(workplace: Path, neuralmd) -> None:
    neuralmd("train", "water.yaml", "training.max_steps=150", "training.validate_every=150")
    before = json.loads((workplace / "runs/water/summary.json").read_text())["validation/best_mae_A"]
    stages = (
        'training.stages=[{"kind": "derivative", "share": 0.5}, '
        '{"kind": "trajectory", "share": 0.5, "learning_rate": 0.002, "batch_size": 4}]'
    )
    neuralmd("train", "water.yaml", "training.max_steps=300", "run.name=both", stages)
    after = json.loads((workplace / "runs/both/summary.json").read_text())["validation/best_mae_A"]
    assert after < before


def test_a_corrected_model_is_better_and_says_where_it_is_not_corrected(workplace: Path, neuralmd) -> None:
    neuralmd("train", "water.yaml")
    neuralmd("train", "water.yaml", "run.name=corrected", "model.correction={strides: [10]}")
    errors = {}
    for run in ("water", "corrected"):
        neuralmd("evaluate", f"runs/{run}", "--json", "errors.json")
        errors[run] = json.loads((workplace / "errors.json").read_text())["methods"]["neural_ode"]["mae"]
    assert errors["corrected"] < errors["water"]
    assert "get the blend alone" in neuralmd("evaluate", "runs/corrected", "--stride", "5").stderr


def test_what_a_run_leaves(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= {"config.yaml", "last.pt", "model.pt", "metrics.jsonl"}
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < 0.2 * losses[0]
    assert "validation/mae_A" in lines[-1]


def test_a_run_is_not_overwritten_unasked(workplace: Path, neuralmd) -> None:
    quick = ("training.max_steps=2",)
    neuralmd("train", "water.yaml", *quick)
    before = (workplace / "runs" / "water" / "model.pt").read_bytes()
    told = neuralmd("train", "water.yaml", *quick, code=2).stderr
    assert "--resume" in told
    assert "--overwrite" in told
    told = neuralmd("train", "water.yaml", *quick, "model.field.channels=4", "--resume", code=2).stderr
    assert "model.field.channels (8 -> 4)" in told
    told = neuralmd("train", "water.yaml", *quick, "model.correction={strides: [10]}", "--resume", code=2).stderr
    assert "model.correction.strides.0 (none -> 10)" in told
    assert (workplace / "runs" / "water" / "model.pt").read_bytes() == before
    neuralmd("train", "water.yaml", *quick, "seed=1", "--overwrite")
    assert (workplace / "runs" / "water" / "model.pt").read_bytes() != before
    told = neuralmd("train", "water.yaml", "run.name=new", "--resume", code=2).stderr
    assert "no checkpoint to resume from" in told


def test_budget_can_grow_on_resume(workplace: Path, neuralmd) -> None:
    neuralmd("train", "water.yaml", "training.max_steps=10")
    neuralmd("train", "water.yaml", "training.max_steps=20", "--resume")
    assert weights(workplace / "runs" / "water")["progress"]["step"] == 20


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("data.path=absent.h5",), "absent.h5"),
        (("data.stride=400",), "stride 400"),
        (("data.purge=800",), "data.purge"),
        (("data.segments=[3]",), "segments"),
        pytest.param(
            ("device=cuda",),
            "device=cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_refusals(workplace: Path, neuralmd, arguments: tuple[str, ...], told: str) -> None:
    assert told in neuralmd("train", "water.yaml", *arguments, code=2).stderr
    assert not (workplace / "runs").exists()


def test_a_training_that_diverges_says_so(workplace: Path, neuralmd) -> None:
    told = neuralmd("train", "water.yaml", "training.stages=[{kind: derivative, learning_rate: 1.0e+30}]", code=2)
    assert "diverged" in told.stderr
