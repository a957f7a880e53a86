"""`neuralmd evaluate`, `thin` and `reconstruct` with a real trained run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralmd.data.formats import read, write
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.interpolators.shooting import Dynamics

METHODS = [
    "linear",
    "cubic_spline",
    "cubic_hermite",
    "quintic_hermite",
    "neural_ode_forward",
    "neural_ode_backward",
    "neural_ode",
]


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may write into."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    return shutil.copytree(trained, tmp_path / "runs" / "water")


@pytest.fixture
def coarse(workplace: Path, neuralmd) -> Path:
    neuralmd("thin", "water.h5", "coarse.h5", "--stride", "10", "--start", "1200")
    return workplace / "coarse.h5"


def test_evaluation_compares_all_methods_on_the_test_part(run: Path, workplace: Path, neuralmd) -> None:
    done = neuralmd("evaluate", "runs/water", "--json", "errors.json")
    assert "neural_ode" in done.stdout
    result = json.loads((workplace / "errors.json").read_text())
    assert list(result["methods"]) == METHODS
    assert (result["stride"], result["gap_fs"], result["velocities"]) == (10, 5.0, "stored")
    assert result["windows"] == (1500 - 2 * 20) * 0.2 // 10
    errors = {name: entry["mae"] for name, entry in result["methods"].items()}
    assert errors["neural_ode"] < errors["neural_ode_forward"] < errors["linear"]
    assert errors["neural_ode"] < errors["cubic_hermite"]
    assert len(result["methods"]["linear"]["mae_per_position"]) == 9
    for figure in ("paths.png", "error-over-gap.png"):
        assert (run / "evaluation-stride10" / figure).read_bytes().startswith(b"\x89PNG")


def test_double_precision_rebuilds_the_same_to_rounding(run: Path, coarse: Path, workplace: Path, neuralmd) -> None:
    errors, paths = {}, {}
    for precision in ("single", "double"):
        neuralmd("evaluate", "runs/water", "--precision", precision, "--json", "errors.json")
        errors[precision] = json.loads((workplace / "errors.json").read_text())["methods"]["neural_ode"]["mae"]
        told = ("--run", "runs/water", "--stride", "10", "--precision", precision)
        neuralmd("reconstruct", "coarse.h5", f"{precision}.h5", *told)
        paths[precision] = read(workplace / f"{precision}.h5").positions
    assert errors["single"] == pytest.approx(errors["double"], rel=0.01)
    assert 0.0 < np.abs(paths["single"] - paths["double"]).max() < 3e-6


def test_evaluation_at_another_stride_and_on_another_file(run: Path, workplace: Path, neuralmd) -> None:
    neuralmd("evaluate", "runs/water", "--stride", "5", "--data", "water.h5", "--json", "errors.json")
    result = json.loads((workplace / "errors.json").read_text())
    assert (result["stride"], result["windows"]) == (5, 299)


def test_reconstruction_copies_anchors_and_is_close_between(run: Path, coarse: Path, workplace: Path, neuralmd) -> None:
    neuralmd("reconstruct", "coarse.h5", "fine.h5", "--run", "runs/water", "--stride", "10")
    known, fine, truth = read(coarse), read(workplace / "fine.h5"), read(workplace / "water.h5")
    assert fine.timestep == pytest.approx(0.5)
    assert len(fine) == 10 * (len(known) - 1) + 1
    assert np.array_equal(fine.positions[::10], known.positions)
    assert np.array_equal(fine.velocities[::10], known.velocities)
    assert fine.velocity_source == "reconstructed"
    assert fine.metadata["anchor_velocities"] == "stored"
    assert fine.metadata["method"] == "neural_ode"
    error = np.abs(fine.positions - truth.positions[1200 : 1200 + len(fine)])
    error = np.delete(error, np.s_[::10], axis=0).mean()
    neuralmd("reconstruct", "coarse.h5", "spline.h5", "--run", "runs/water", "--stride", "10", "--method", "linear")
    line = np.abs(read(workplace / "spline.h5").positions - truth.positions[1200 : 1200 + len(fine)])
    assert error < 0.2 * np.delete(line, np.s_[::10], axis=0).mean()


def test_blocks_leave_no_trace(run: Path, coarse: Path, workplace: Path, neuralmd, monkeypatch) -> None:
    from neuralmd import reconstruction as module
    from neuralmd.evaluation.methods import splines
    from neuralmd.runs import load_run

    for method in (splines()["cubic_spline"], load_run(run).model):
        outputs = []
        for gaps in (3, 1000):
            monkeypatch.setattr(module.job, "_GAPS_AT_ONCE", gaps)
            target = workplace / f"{gaps}.h5"
            module.reconstruct(coarse, target, module.Reconstruction(method, 10), overwrite=True)
            outputs.append(read(target).positions)
        assert np.allclose(outputs[0], outputs[1], rtol=0.0, atol=1e-6)


def test_coarse_positions_alone(run: Path, coarse: Path, workplace: Path, neuralmd, monkeypatch) -> None:
    from neuralmd import reconstruction as module
    from neuralmd.runs import load_run

    known, truth = read(coarse), read(workplace / "water.h5").positions
    write(Trajectory.uniform(known.system, known.positions, known.timestep), workplace / "bare.h5")
    words = ("reconstruct", "bare.h5", "fine.h5", "--run", "runs/water", "--stride", "10")
    told = neuralmd(*words).stderr
    assert "note: velocities were inferred from positions alone" in told
    inferred = read(workplace / "fine.h5")
    assert inferred.velocities is None
    assert inferred.metadata["anchor_velocities"] == "inferred"
    assert np.array_equal(inferred.positions[::10], known.positions)
    neuralmd(*words, "--method", "cubic_spline", "--overwrite")
    spline = read(workplace / "fine.h5")
    assert (spline.velocities, spline.metadata["anchor_velocities"]) == (None, "none")
    rest = truth[1200 : 1200 + len(spline)]
    error = np.abs(inferred.positions - rest).mean()
    assert error < 0.5 * np.abs(spline.positions - rest).mean()

    model, blocks = load_run(run).model, workplace / "blocks.h5"
    with pytest.raises(DataError, match=r"--velocities central.*cubic_spline"):
        module.reconstruct(workplace / "bare.h5", blocks, module.Reconstruction(model, 10))
    monkeypatch.setattr(module.job, "_GAPS_AT_ONCE", 12)
    how = module.Reconstruction(model, 10, dynamics=Dynamics(known.system, model.field, model.solver))
    module.reconstruct(workplace / "bare.h5", blocks, how)
    # A gap of 5 fs is little more than half an O-H period: how much of the chain a block sees does show
    assert np.abs(read(blocks).positions - inferred.positions).mean() < 0.5 * error
    assert np.abs(read(blocks).positions - rest).mean() < 1.2 * error


def test_evaluation_with_nothing_but_positions_at_the_anchors(run: Path, workplace: Path, neuralmd) -> None:
    told = neuralmd("evaluate", "runs/water", "--anchor-velocities", "inferred", "--json", "errors.json")
    assert "note: velocities were inferred" in told.stderr
    result = json.loads((workplace / "errors.json").read_text())
    assert result["velocities"] == "inferred"
    assert any("frames 5 fs apart" in note for note in result["notes"])
    assert list(result["methods"]) == [method for method in METHODS if method != "quintic_hermite"]
    assert result["methods"]["neural_ode"]["mae"] < result["methods"]["cubic_spline"]["mae"]
    assert (run / "evaluation-stride10-inferred" / "errors.json").is_file()
    assert not (run / "evaluation-stride10").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--stride", "1"), "stride must be at least 2"),
        (("--stride", "10", "--method", "magic"), "no method 'magic'"),
        (("--stride", "10", "--run", "absent"), "train first"),
        (("--stride", "10", "--device", "cuda"), "device=cpu"),
    ],
)
def test_refusals(run: Path, coarse: Path, workplace: Path, neuralmd, arguments: tuple[str, ...], told: str) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    words = ("reconstruct", "coarse.h5", "fine.h5", "--run", "runs/water", *arguments)
    assert told in neuralmd(*words, code=2).stderr
    assert not (workplace / "fine.h5").exists()


def test_output_that_exists_and_other_molecules(run: Path, coarse: Path, workplace: Path, neuralmd) -> None:
    words = ("reconstruct", "coarse.h5", "coarse.h5", "--run", "runs/water", "--stride", "10")
    before = coarse.read_bytes()
    assert "--overwrite" in neuralmd(*words, code=2).stderr
    assert coarse.read_bytes() == before
    neuralmd("simulate", "CH4", "methane.h5", "--steps", "30", "--equilibration", "5")
    other = ("reconstruct", "methane.h5", "fine.h5", "--run", "runs/water", "--stride", "10")
    assert "trained on H2O" in neuralmd(*other, code=2).stderr
    assert "trained on H2O" in neuralmd("evaluate", "runs/water", "--data", "methane.h5", code=2).stderr
    assert "lower the stride" in neuralmd("evaluate", "runs/water", "--stride", "400", code=2).stderr


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_damaged_model_is_refused(run: Path, neuralmd, damage: str) -> None:
    whole = (run / "model.pt").read_bytes()
    (run / "model.pt").write_bytes(whole[:2000] if damage == "truncated" else b"garbage")
    assert "checkpoint" in neuralmd("evaluate", "runs/water", code=2).stderr


def test_what_a_run_was_trained_on_comes_with_it(run: Path, neuralmd) -> None:
    from neuralmd.runs import load_run

    known = load_run(run).seen
    assert known is not None
    assert known.frames == round((1500 - 2 * 20) * 0.7)
    neuralmd("thin", "water.h5", "coarse.h5", "--stride", "10", "--stop", "1000")
    words = ("reconstruct", "coarse.h5", "fine.h5", "--run", "runs/water", "--stride", "10", "--overwrite")
    assert "training data: all 99 gaps are within what the model has seen" in neuralmd(*words).stdout
    assert "a .dcd file holds no error bars and no flags" in neuralmd(*words[:2], "fine.dcd", *words[3:]).stderr

    content = torch.load(run / "model.pt", weights_only=True)
    del content["seen"]
    torch.save(content, run / "model.pt")
    assert load_run(run).seen is None
    told = neuralmd(*words)
    assert "does not say what it was trained on" in told.stderr
    assert "training data" not in told.stdout
    content["seen"] = {"classes": torch.zeros(3)}
    torch.save(content, run / "model.pt")
    assert "not told as expected" in neuralmd(*words, code=2).stderr
