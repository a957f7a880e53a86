"""`neuralmd compare`: equal data, nothing trained twice, failures told of in their row."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import CONFIG

BUDGET = CONFIG.replace("max_steps: 300", "max_steps: 30")
STRIDES = ("--strides", "5,10")


@pytest.fixture
def configs(workplace: Path) -> tuple[str, str]:
    (workplace / "wide.yaml").write_text(BUDGET.replace("name: water", "name: wide"))
    (workplace / "narrow.yaml").write_text(BUDGET.replace("name: water", "name: narrow").replace(": 8,", ": 4,", 1))
    return "wide.yaml", "narrow.yaml"


def rows(folder: Path) -> dict[tuple[str, str], dict]:
    entries = json.loads((folder / "comparison.json").read_text())["rows"]
    return {(row["contestant"], row["method"]): row for row in entries}


def test_table_figures_and_nothing_twice(configs: tuple[str, str], workplace: Path, neuralmd) -> None:
    printed = neuralmd("compare", *configs, *STRIDES, "--seeds", "2", "--json", "copy.json").stdout
    assert "Effect of the second anchor at stride 10" in printed
    folder = workplace / "runs" / "comparison"
    assert (workplace / "copy.json").read_text() == (folder / "comparison.json").read_text()
    found = rows(folder)
    assert {label for label, _ in found} == {"spline", "wide", "narrow"}
    blend = found["wide", "neural_ode"]
    assert list(blend["strides"]) == ["5", "10"]
    mae = blend["strides"]["10"]["mae"]
    values = [seed["mae"] for seed in blend["strides"]["10"]["seeds"].values()]
    assert len(values) == 2
    assert mae["mean"] == pytest.approx(sum(values) / 2)
    assert mae["spread"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert blend["parameters"] > found["narrow", "neural_ode"]["parameters"] > 0
    assert blend["strides"]["10"]["evaluations_per_gap"]["mean"] == 22
    assert found["wide", "neural_ode_forward"]["strides"]["10"]["evaluations_per_gap"]["mean"] == 11
    assert blend["strides"]["10"]["energy_error"]["mean"] > 0
    assert blend["strides"]["10"]["position_jump"]["mean"] == 0.0
    assert found["wide", "neural_ode_forward"]["strides"]["10"]["position_jump"]["mean"] > 0
    lines = list(csv.DictReader((folder / "comparison.csv").read_text().splitlines()))
    assert {line["seed"] for line in lines if line["contestant"] == "wide"} == {"0", "1"}
    assert (folder / "comparison.md").read_text().count("### Stride") == 2
    assert len(list(folder.glob("*.png"))) == 5
    trained = {path: path.stat().st_mtime_ns for path in workplace.glob("runs/*/model.pt")}
    assert len(trained) == 4
    neuralmd("compare", *configs, *STRIDES, "--seeds", "2")
    assert {path: path.stat().st_mtime_ns for path in workplace.glob("runs/*/model.pt")} == trained


def test_numbers_of_an_earlier_comparison_enter_a_new_one(configs: tuple[str, str], workplace: Path, neuralmd) -> None:
    neuralmd("compare", configs[0], *STRIDES, "--output", "first")
    told = neuralmd("compare", configs[1], "first/comparison.json", *STRIDES).stderr.replace("\n", " ")
    assert "wide: scores of first/comparison.json" in told
    found = rows(workplace / "runs" / "comparison")
    assert found["wide", "neural_ode"] == rows(workplace / "first")["wide", "neural_ode"]
    assert ("narrow", "neural_ode") in found
    refused = neuralmd(
        "compare", configs[1], "first/comparison.json", "data.purge=40", "run.root=other", *STRIDES, code=2
    ).stderr
    assert "first/comparison.json: " in refused


def test_a_stopped_comparison_goes_on_where_it_was(
    configs: tuple[str, str], workplace: Path, neuralmd, monkeypatch
) -> None:
    from neuralmd.training.loop import Loop

    whole = Loop.fit

    def stop_half_way(self: Loop, tracker: object, advance: object) -> None:
        def interrupt(thousandths: int) -> None:
            if "narrow" in str(self.folder) and thousandths > 700:
                raise KeyboardInterrupt

        return whole(self, tracker, interrupt)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "fit", stop_half_way)
        neuralmd("compare", *configs, *STRIDES, code=130)
    finished = workplace / "runs" / "wide-30steps-seed0" / "model.pt"
    before = finished.stat().st_mtime_ns
    neuralmd("compare", *configs, *STRIDES)
    assert finished.stat().st_mtime_ns == before
    lines = (workplace / "runs" / "narrow-30steps-seed0" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(steps)
    assert steps[-1] == 30


def test_a_method_that_fails_is_told_of_and_does_not_stop_the_others(
    configs: tuple[str, str], workplace: Path, neuralmd
) -> None:
    broken = BUDGET.replace("name: water", "name: broken").replace("batch_size: 8", "learning_rate: 1.0e+30")
    (workplace / "broken.yaml").write_text(broken.replace("max_steps: 30", "max_steps: 300"))
    neuralmd("compare", "broken.yaml", configs[1], *STRIDES)
    found = rows(workplace / "runs" / "comparison")
    assert "diverged" in found["broken", "failed"]["error"]
    assert found["narrow", "neural_ode"]["error"] is None
    assert "diverged" in neuralmd("compare", "broken.yaml", *STRIDES, code=2).stderr


def test_a_method_whose_frames_are_no_molecules_has_no_energy_error(
    configs: tuple[str, str], workplace: Path, neuralmd
) -> None:
    wild = BUDGET.replace("name: water", "name: wild").replace("batch_size: 8", "learning_rate: 10.0")
    (workplace / "wild.yaml").write_text(wild.replace("max_steps: 30", "max_steps: 8"))
    told = neuralmd("compare", "wild.yaml", configs[1], "--strides", "10").stderr.replace("\n", " ")
    assert "wild (neural_ode) at stride 10: the engine that made the data finds no energy" in told
    found = rows(workplace / "runs" / "comparison")
    assert found["wild", "neural_ode"]["strides"]["10"]["energy_error"] == {"mean": None, "spread": None}
    assert found["wild", "neural_ode"]["strides"]["10"]["mae"]["mean"] > 0.1
    assert found["narrow", "neural_ode"]["strides"]["10"]["energy_error"]["mean"] > 0


def test_unfair_and_empty_comparisons_are_refused(configs: tuple[str, str], workplace: Path, neuralmd) -> None:
    (workplace / "other.yaml").write_text(
        BUDGET.replace("purge: 20", "purge: 30").replace("name: water", "name: other")
    )
    assert "data.purge is 30" in neuralmd("compare", configs[0], "other.yaml", code=2).stderr
    assert "entered twice" in neuralmd("compare", configs[0], configs[0], code=2).stderr
    (workplace / "empty").mkdir()
    assert "train first" in neuralmd("compare", "empty", code=2).stderr
    assert "at least 2" in neuralmd("compare", configs[0], "--strides", "1,x", code=2).stderr
    assert not (workplace / "runs").exists()


def test_settings_and_seeds_of_one_configuration_on_the_command_line(
    configs: tuple[str, str], workplace: Path, neuralmd
) -> None:
    settings = ("run.root=elsewhere", "training.clock=cpu", "training.max_steps=20")
    neuralmd("compare", f"{configs[0]}:2", configs[1], *settings, "--strides", "5")
    trained = sorted(path.parent.name for path in (workplace / "elsewhere").glob("*/model.pt"))
    assert trained == ["narrow-20steps-seed0", "wide-20steps-seed0", "wide-20steps-seed1"]
    assert "clock: cpu" in (workplace / "elsewhere" / trained[0] / "config.yaml").read_text()
    assert "number of seeds" in neuralmd("compare", f"{configs[0]}:none", code=2).stderr
    assert "training.clock" in neuralmd("compare", configs[0], "training.clock=sun", code=2).stderr
