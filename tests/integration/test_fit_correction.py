"""The command that fits the correction of a trained run again."""

from __future__ import annotations

import json
from pathlib import Path

BRIDGE = "model.correction={kind: bridge, strides: [10], terms: 2}"


def test_a_trained_field_gets_a_bridge_in_a_run_of_its_own(workplace: Path, neuralmd) -> None:
    neuralmd("train", "water.yaml")
    before = (workplace / "runs/water/model.pt").read_bytes()
    told = neuralmd("fit-correction", "runs/water", "run.name=bridged", BRIDGE)
    assert told.stdout.startswith("runs/bridged: the field of runs/water, validation MAE ")
    assert (workplace / "runs/water/model.pt").read_bytes() == before
    spent = [json.loads((workplace / "runs" / run / "summary.json").read_text()) for run in ("water", "bridged")]
    assert spent[1]["train/steps"] == spent[0]["train/steps"] > 0
    assert spent[1]["train/minutes"] > 0
    errors = {}
    for run in ("water", "bridged"):
        neuralmd("evaluate", f"runs/{run}", "--json", "errors.json")
        errors[run] = json.loads((workplace / "errors.json").read_text())["methods"]
    assert errors["bridged"]["neural_ode_forward"]["mae"] == errors["water"]["neural_ode_forward"]["mae"]
    assert errors["bridged"]["neural_ode"]["mae"] < errors["water"]["neural_ode"]["mae"]

    network = "model.correction={kind: equivariant, strides: [10], bridge: false, channels: 4, steps: 50}"
    neuralmd("fit-correction", "runs/water", "run.name=network", network)
    neuralmd("evaluate", "runs/network", "--json", "errors.json")
    corrected = json.loads((workplace / "errors.json").read_text())["methods"]["neural_ode"]["mae"]
    assert corrected < errors["water"]["neural_ode"]["mae"]

    assert "run.name=NAME" in neuralmd("fit-correction", "runs/water", BRIDGE, code=2).stderr
    assert "--overwrite" in neuralmd("fit-correction", "runs/water", "run.name=bridged", BRIDGE, code=2).stderr
    other = neuralmd("fit-correction", "runs/water", "run.name=more", "model.field.channels=5", code=2).stderr
    assert "but model.field.channels (8 -> 5) came; train a run of its own with that" in other
    assert not (workplace / "runs/more").exists()
