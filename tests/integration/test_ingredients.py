"""Settings off the beaten track: other targets, differences and functions of distance, and a lambda that is learned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from neuralmd.data.formats import read, write

SHORT = ("training.max_steps=40", "training.validate_every=40")


def test_a_run_with_every_one_of_them_trains_and_is_evaluated(workplace: Path, neuralmd) -> None:
    neuralmd(
        "train",
        "water.yaml",
        *SHORT,
        "data.velocities=seven_point",
        "model.field.radial_kind=bessel",
        "model.solver={kind: velocity_verlet, step: 0.25}",
        "model.blend={kind: learned, strides: [10]}",
        "training.stages.0.difference=numerov",
    )
    neuralmd("evaluate", "runs/water", "--json", "errors.json")
    told = json.loads((workplace / "errors.json").read_text())
    assert told["velocities"] == "seven_point"
    assert 0.0 < told["methods"]["neural_ode"]["mae"] < told["methods"]["linear"]["mae"]


def test_an_ensemble_learns_in_every_stage_goes_on_and_is_evaluated(workplace: Path, neuralmd) -> None:
    settings = (
        "run.name=ensemble",
        "model.field={kind: ensemble, members: 2, field: {kind: equivariant, channels: 4, l_max: 1}}",
        "training.stages=[{kind: derivative, share: 0.8}, {kind: trajectory, share: 0.2, batch_size: 2}]",
    )
    neuralmd("train", "water.yaml", *SHORT, *settings)
    neuralmd("train", "water.yaml", *SHORT, *settings, "--resume")
    neuralmd("evaluate", "runs/ensemble", "--json", "errors.json")
    told = json.loads((workplace / "errors.json").read_text())
    assert 0.0 < told["methods"]["neural_ode"]["mae"] < told["methods"]["linear"]["mae"]


def test_forces_are_learned_where_the_file_has_them_and_asked_for_in_a_sentence_where_not(
    workplace: Path, neuralmd
) -> None:
    neuralmd("train", "water.yaml", *SHORT, "training.stages.0.target=forces")
    measured = json.loads((workplace / "runs" / "water" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0.0 < measured["validation/force_mae_eV_A"] < measured["validation/force_rmse_eV_A"]
    bare = replace(read(workplace / "water.h5"), forces=None)
    write(bare, workplace / "bare.npz")
    asked = ("data.path=bare.npz", "run.name=bare", "training.stages.0.target=forces")
    told = neuralmd("train", "water.yaml", *asked, code=2).stderr
    assert "the file holds no forces, but training.stages has target: forces; take target: differences" in told
    neuralmd("train", "water.yaml", *SHORT, *asked[:2])
    assert "force_mae" not in (workplace / "runs" / "bare" / "metrics.jsonl").read_text()


def test_energies_are_learned_by_a_field_that_has_one(workplace: Path, neuralmd) -> None:
    weight = "training.stages.0.energy_weight=0.1"
    energy = ("model.field={kind: conservative, channels: 4, l_max: 1, layers: 1}", "run.name=energies")
    neuralmd("train", "water.yaml", *SHORT, *energy, weight)
    told = neuralmd("train", "water.yaml", "run.name=none", weight, code=2).stderr.replace("\n", " ")
    assert "training.stages has an energy_weight, but the field has no energy: take kind conservative" in told
    bare = replace(read(workplace / "water.h5"), energies=None)
    write(bare, workplace / "bare.npz")
    told = neuralmd("train", "water.yaml", "data.path=bare.npz", *energy[:1], "run.name=bare", weight, code=2).stderr
    assert "the file holds no energies, but training.stages has an energy_weight" in told.replace("\n", " ")


def test_a_lambda_is_learned_for_a_field_that_is_there(trained: Path, tmp_path: Path, neuralmd) -> None:
    blend = "model.blend={kind: learned, strides: [10]}"
    told = neuralmd("fit-correction", str(trained), "run.name=leaning", blend)
    assert told.stdout.startswith("runs/leaning: the field of ")
    remark = neuralmd("evaluate", "runs/leaning", "--stride", "5").stderr.replace("\n", " ")
    assert "lambda was learned for gaps of 5 fs; these of 2.5 fs get the power blend" in remark
    bridged = "model.correction={kind: bridge, strides: [10]}"
    refused = neuralmd("fit-correction", str(trained), "run.name=both", blend, bridged, code=2).stderr
    assert "take blend kind power with the bridge, or correction kind least_squares" in refused
