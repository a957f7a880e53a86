"""Recurrent networks through the command line: trained, evaluated, used, and refused where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neuralmd.data.formats import read

LSTM = """\
run: {name: lstm}
data: {path: water.h5, stride: 10, purge: 20}
model: {kind: recurrent, cell: lstm, width: 32, depth: 1, orientation: body}
training:
  max_minutes: null
  max_steps: 120
  validate_every: 120
  gradient_clip: 1.0
  stages: [{kind: trajectory, batch_size: 8, learning_rate: 5.0e-3}]
tracking: {wandb: disabled}
device: cpu
"""


@pytest.fixture
def lstm(workplace: Path) -> Path:
    (workplace / "lstm.yaml").write_text(LSTM)
    return workplace


def test_an_lstm_learns_is_compared_and_rebuilds_a_file(lstm: Path, neuralmd) -> None:
    neuralmd("train", "lstm.yaml")
    neuralmd("evaluate", "runs/lstm", "--json", "errors.json")
    methods = json.loads((lstm / "errors.json").read_text())["methods"]
    assert list(methods)[-3:] == ["lstm_forward", "lstm_backward", "lstm"]
    assert methods["lstm"]["mae"] < methods["lstm_forward"]["mae"] < methods["linear"]["mae"]
    assert methods["lstm"]["mae"] < methods["lstm_backward"]["mae"] < methods["linear"]["mae"]
    assert (lstm / "runs/lstm/evaluation-stride10/paths.png").read_bytes().startswith(b"\x89PNG")
    neuralmd("thin", "water.h5", "coarse.h5", "--stride", "10", "--start", "1200")
    neuralmd("reconstruct", "coarse.h5", "fine.h5", "--run", "runs/lstm", "--stride", "10")
    fine, known, truth = read(lstm / "fine.h5"), read(lstm / "coarse.h5"), read(lstm / "water.h5")
    assert fine.metadata["method"] == "lstm"
    assert np.array_equal(fine.positions[::10], known.positions)
    hidden = np.delete(np.abs(fine.positions - truth.positions[1200 : 1200 + len(fine)]), np.s_[::10], axis=0)
    assert float(hidden.mean()) < 2.0 * methods["lstm"]["mae"]


@pytest.mark.parametrize(
    ("settings", "methods"),
    [
        (("model.direction=forward", "model.cell=gru"), ["gru_forward"]),
        (("model.direction=whole_gap", "training.stages.0.augmentation=rotations"), ["lstm_whole_gap"]),
        (
            ("model.cell=rnn", "model.boundary_frames=3", "training.stages.0.first_stride=4"),
            ["rnn_forward", "rnn_backward", "rnn"],
        ),
    ],
)
def test_every_kind_trains_and_is_compared(lstm: Path, neuralmd, settings: tuple[str, ...], methods: list[str]) -> None:
    neuralmd("train", "lstm.yaml", "training.max_steps=3", *settings)
    neuralmd("evaluate", "runs/lstm", "--stride", "7", "--json", "errors.json")
    result = json.loads((lstm / "errors.json").read_text())
    assert list(result["methods"])[4:] == methods
    assert all(np.isfinite(errors["mae"]) for errors in result["methods"].values())


def test_a_coarse_file_has_no_boundary_frames(lstm: Path, neuralmd) -> None:
    neuralmd("train", "lstm.yaml", "training.max_steps=2", "model.boundary_frames=2")
    neuralmd("thin", "water.h5", "coarse.h5", "--stride", "10")
    words = ("reconstruct", "coarse.h5", "fine.h5", "--run", "runs/lstm", "--stride", "10")
    assert "reads 2 consecutive fine frames" in neuralmd(*words, code=2).stderr
    assert not (lstm / "fine.h5").exists()
    neuralmd(*words, "--method", "cubic_hermite")


def test_a_recurrent_network_has_no_field_to_fit(lstm: Path, neuralmd) -> None:
    told = neuralmd("train", "lstm.yaml", "training.stages=[{kind: derivative}]", code=2).stderr
    assert "training.stages.0: a derivative stage fits a field" in told
    assert "kind: trajectory" in told
