"""What is made of the records of a sweep: order, names of settings, importance, tables and figures."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from neuralmd.config import dump
from neuralmd.config import load as load_experiment
from neuralmd.errors import ConfigError
from neuralmd.sweeps import records
from neuralmd.sweeps.engine import number_of_trials
from neuralmd.sweeps.importance import importance_of
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.report import write
from neuralmd.sweeps.results import Results, describe, shown, summary
from neuralmd.sweeps.space import load

SWEEP = """
name: demo
method: random
run_cap: 40
metric: {name: validation/best_mae_A, goal: minimize}
command: [neuralmd, train, "${args_no_hyphens}"]
parameters:
  lstm.model.width: {values: [64, 128]}
  lstm.training.stages.0.learning_rate: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-2}
  config: {values: [configs/node.yaml, configs/lstm.yaml]}
  node.training.stages.0.learning_rate: {distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-2}
  node.model.field.radial_width: {values: [16, 32]}
  node.model.solver: {values: [{kind: rk4, step: 0.5}, {kind: velocity_verlet}]}
  training.max_steps: {value: 10}
  seed: {values: [0, 1]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty trials: the configuration and the learning rate of node matter, all else does not."""
    draws = random.Random(1)  # noqa: S311 - no secret
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "node.yaml").write_text("run: {name: node}\ndata: {path: a.h5}\n")
    for number in range(40):
        config = ("node", "lstm")[number % 2]
        rate = 10 ** draws.uniform(-4, -2)
        values = {"config": f"configs/{config}.yaml", "seed": draws.choice([0, 1]), "training.max_steps": 10}
        values[f"{config}.training.stages.0.learning_rate"] = rate
        if config == "node":
            values |= {"node.model.field.radial_width": draws.choice([16, 32]), "node.model.solver": {"kind": "rk4"}}
            value = 1e-4 * (1 + 1e4 * abs(rate - 2e-3))
        else:
            values["lstm.model.width"] = draws.choice([64, 128])
            value = 1e-2 * draws.uniform(0.9, 1.1)
        name = f"demo-trial-{number:03d}"
        records.write(tmp_path, Record(name, values, "pruned" if number == 3 else "complete", value))
        run = tmp_path / name
        run.mkdir()
        lines = [{"step": step, "validation/best_mae_A": value * 10 / step, "train/minutes": step} for step in (1, 10)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (run / "config.yaml").write_text(dump(load_experiment(tmp_path / "node.yaml")))
    records.write(tmp_path, Record("demo-trial-040", {"config": "configs/lstm.yaml"}, "failed", error="diverged"))
    records.write(tmp_path, Record("demo-trial-041", {"config": "configs/lstm.yaml"}, "running"))
    return tmp_path


def test_trials_are_ranked_and_the_best_of_each_configuration_is_known(folder: Path) -> None:
    results = Results.of(folder)
    values = [record.value for record in results.ranked]
    assert values == sorted(value for value in values if value is not None)
    assert len(values) == 40
    assert [record.name for record in results.failed] == ["demo-trial-040"]
    assert [record.name for record in results.unfinished] == ["demo-trial-041"]
    assert results.best_of_each()["node"] == results.best
    assert results.best_of_each()["lstm"].value == min(
        record.value for record in results.ranked if record.values["config"] == "configs/lstm.yaml" and record.value
    )
    (folder / "sweep.yaml").write_text(SWEEP.replace("goal: minimize", "goal: maximize"))
    assert Results.of(folder).best.value == max(value for value in values if value is not None)


def test_settings_have_the_shortest_names_that_tell_them_apart(folder: Path) -> None:
    titles = {one.key: one.title for one in Results.of(folder).settings}
    assert titles == {
        "config": "config",
        "lstm.model.width": "lstm: width",
        "lstm.training.stages.0.learning_rate": "lstm: learning_rate",
        "node.training.stages.0.learning_rate": "node: learning_rate",
        "node.model.field.radial_width": "node: radial_width",
        "node.model.solver": "node: solver",
        "seed": "seed",
    }
    assert next(iter(titles)) == "config"


def test_values_are_shown_short() -> None:
    assert shown({"kind": "dopri5", "rtol": 1e-5}) == "dopri5 rtol 1e-05"
    assert shown("configs/lstm.yaml") == "lstm"
    texts = [shown(value) for value in (None, True, 3, 0.0012345, [5, 10])]
    assert texts == ["none", "true", "3", "0.00123", "[5, 10]"]


def test_what_matters_is_important_and_what_does_not_is_not(folder: Path) -> None:
    importance = importance_of(Results.of(folder))
    assert sum(importance.values()) == pytest.approx(1.0)
    assert max(importance, key=importance.__getitem__) in {"config", "node.training.stages.0.learning_rate"}
    assert importance["seed"] < 0.1
    assert importance["node.model.field.radial_width"] < 0.2


def test_the_report_of_a_sweep_with_all_kinds_of_values(folder: Path) -> None:
    results = Results.of(folder)
    written = {path.name for path in write(results, folder / "report")}
    assert written == {
        "ranking.md",
        "ranking.csv",
        "ranking.json",
        "best.yaml",
        "best-node.yaml",
        "best-lstm.yaml",
        "learning-curves.png",
        "parallel-coordinates.png",
        "importance.png",
    }
    table = (folder / "report" / "ranking.md").read_text()
    assert "- demo-trial-040 (config lstm): diverged" in table
    assert "| rk4 |" in table
    assert load_experiment(folder / "report" / "best-lstm.yaml").run.name == "demo-best-lstm"
    assert describe(results.settings, results.best.values) in (folder / "report" / "best.yaml").read_text()


def test_a_sweep_of_one_trial_has_a_report_too(folder: Path) -> None:
    for path in (folder / "trials").glob("*.json"):
        if path.stem != "demo-trial-000":
            path.unlink()
    results = Results.of(folder)
    assert importance_of(results) == {}
    assert (folder / "report" / "importance.png") not in write(results, folder / "report")


def test_a_sweep_without_a_value_says_why(folder: Path) -> None:
    for path in (folder / "trials").glob("*.json"):
        if path.stem < "demo-trial-040":
            path.unlink()
    with pytest.raises(ConfigError, match="all 1 so far failed, the first: diverged"):
        Results.of(folder)
    (folder / "trials" / "demo-trial-040.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"demo-trial-040.json: is not the record of a trial"):
        Results.of(folder)


def test_the_summary_is_one_line(folder: Path) -> None:
    sweep = load(folder / "sweep.yaml")
    done = [record for record in records.read(folder) if record.state != "running"]
    line = summary(sweep, done, 42)
    assert line.startswith("41 of 42 trials done (39 complete, 1 pruned, 1 failed, 1 left: --resume goes on); best")
    assert "\n" not in line
    assert number_of_trials(sweep, None) == 40
    assert number_of_trials(sweep, 3) == 3
