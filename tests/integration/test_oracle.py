"""A model without weights: `train` makes its run at once, and all that follows works as for a trained one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuralmd.data.formats import read

ORACLE = ("train", "water.yaml", "run.name=oracle", "model.field={kind: calculator}", "data.path=nve.h5")


@pytest.fixture
def oracle(workplace: Path, neuralmd) -> Path:
    simulation = ("--ensemble", "nve", "--steps", "300", "--equilibration", "50")
    neuralmd("simulate", "H2O", "nve.h5", *simulation)
    assert "no weights to train" in neuralmd(*ORACLE).stdout
    return workplace / "runs" / "oracle"


def test_without_a_thermostat_the_oracle_rebuilds_the_truth(oracle: Path, workplace: Path, neuralmd) -> None:
    assert {path.name for path in oracle.iterdir()} >= {"config.yaml", "last.pt", "model.pt", "summary.json"}
    summary = json.loads((oracle / "summary.json").read_text())
    assert summary["train/steps"] == 0
    assert summary["validation/best_mae_A"] < 1e-6
    neuralmd("evaluate", "runs/oracle", "--json", "errors.json")
    methods = json.loads((workplace / "errors.json").read_text())["methods"]
    for direction in ("neural_ode", "neural_ode_forward", "neural_ode_backward"):
        assert methods[direction]["mae"] < 1e-6 < methods["cubic_hermite"]["mae"]
    neuralmd("thin", "nve.h5", "coarse.h5", "--stride", "10", "--start", "200")
    neuralmd("reconstruct", "coarse.h5", "fine.h5", "--run", "runs/oracle", "--stride", "10")
    fine, truth = read(workplace / "fine.h5"), read(workplace / "nve.h5")
    assert abs(fine.positions - truth.positions[200 : 200 + len(fine)]).max() < 1e-5


def test_the_oracle_resumes_to_itself_and_is_not_overwritten_unasked(oracle: Path, neuralmd) -> None:
    before = json.loads((oracle / "summary.json").read_text())
    assert "--overwrite" in neuralmd(*ORACLE, code=2).stderr
    neuralmd(*ORACLE, "--resume")
    assert json.loads((oracle / "summary.json").read_text()) == before
