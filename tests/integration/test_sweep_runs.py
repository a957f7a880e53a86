"""`neuralmd sweep` and `neuralmd sweep-report` on a real trajectory, with real processes, some of which are killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from conftest import CONFIG, environment

from neuralmd.config import load

SHORT = CONFIG.replace("max_steps: 300", "max_steps: 20").replace("validate_every: 100", "validate_every: 5")
NODE = SHORT.replace("name: water", "name: node").replace("checkpoint_every: 20", "checkpoint_every: 5")
LSTM = (
    NODE.replace("name: node", "name: lstm")
    .replace(
        "model: {field: {kind: equivariant, channels: 8, radial_width: 16}}",
        "model: {kind: recurrent, width: 16, depth: 1}",
    )
    .replace("kind: derivative", "kind: trajectory")
)
SWEEP = """\
name: small
method: bayes
run_cap: 6
metric: {name: validation/best_mae_A, goal: minimize}
command: [neuralmd, train, "${args_no_hyphens}"]
parameters:
  config: {values: [node.yaml, lstm.yaml]}
  node.model.field.channels: {values: [2, 4]}
  lstm.model.width: {distribution: q_log_uniform_values, min: 8, max: 32, q: 4}
  training.stages.0.learning_rate: {distribution: log_uniform_values, min: 1.0e-3, max: 1.0e-1}
"""
HALVED = """\
method: grid
metric: {name: validation/best_mae_A}
command: [neuralmd, train, node.yaml, "${args_no_hyphens}"]
early_terminate: {type: hyperband, min_iter: 1, eta: 2}
parameters:
  training.stages.0.learning_rate: {values: [3.0e-2, 1.0e-2, 1.0e-7, 1.0e+30]}
"""
COMMAND = [sys.executable, "-m", "neuralmd", "sweep", "small.yaml", "--engine", "optuna", "--heartbeat", "3"]


def prepare(folder: Path, water: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "water.h5").symlink_to(water)
    (folder / "node.yaml").write_text(NODE)
    (folder / "lstm.yaml").write_text(LSTM)
    (folder / "small.yaml").write_text(SWEEP)
    return folder


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A sweep in a process group of its own, which is killed outright if it outlives the context."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def records(sweep: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(sweep.glob("trials/*.json"))]


def wait_for(found: Callable[[], object], process: subprocess.Popen[str], limit: float = 240.0) -> None:
    deadline = time.monotonic() + limit
    while not found():
        assert process.poll() is None, "the sweep ended before that"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states(sweep: Path) -> Counter[str]:
    return Counter(record["state"] for record in records(sweep))


def trials_in(storage: str) -> list[optuna.trial.FrozenTrial]:
    database = optuna.storages.RDBStorage(storage)
    try:
        return optuna.load_study(study_name="small", storage=database).get_trials()
    finally:
        database.remove_session()
        database.engine.dispose()


def trials_of(sweep: Path) -> list[optuna.trial.FrozenTrial]:
    return trials_in(f"sqlite:///{sweep / 'study.db'}")


@pytest.fixture(scope="module")
def swept(water: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of six trials by two workers, of which one was killed outright while it trained its second trial."""
    folder = prepare(tmp_path_factory.mktemp("swept"), water)
    sweep = folder / "runs" / "small"
    with started(folder, "--workers", "2") as process:
        wait_for(lambda: states(sweep)["complete"] >= 2 and states(sweep)["running"], process)
        victim = next(record for record in records(sweep) if record["state"] == "running")
        os.kill(int(victim["worker"].split(":")[1]), signal.SIGKILL)
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "6 of 6 trials done (6 complete)" in output
    (folder / "victim").write_text(victim["name"])
    return sweep


def test_a_killed_worker_costs_no_trial_and_repeats_none(swept: Path) -> None:
    done = [trial for trial in trials_of(swept) if trial.state == optuna.trial.TrialState.COMPLETE]
    assert sorted(trial.user_attrs["place"] for trial in done) == list(range(6))
    dead = [trial for trial in trials_of(swept) if trial.state == optuna.trial.TrialState.FAIL]
    victim = (swept.parents[1] / "victim").read_text()
    assert {f"small-trial-{trial.user_attrs['place']:03d}" for trial in dead} <= {victim}
    assert states(swept) == {"complete": 6}
    for record in records(swept):
        summary = json.loads((swept / record["name"] / "summary.json").read_text())
        assert summary["validation/best_mae_A"] == record["value"]
        steps = [
            json.loads(line)["step"] for line in (swept / record["name"] / "metrics.jsonl").read_text().splitlines()
        ]
        assert steps == [5, 10, 15, 20, 20]
    values = {trial.user_attrs["place"]: trial.value for trial in done}
    assert [values[place] for place in range(6)] == [record["value"] for record in records(swept)]


def test_every_trial_is_the_run_that_its_values_stand_for(swept: Path) -> None:
    for record in records(swept):
        experiment = load(swept / record["name"] / "config.yaml")
        drawn = record["values"]
        assert experiment.tracking.group == "small"
        assert experiment.training.stages[0].learning_rate == drawn["training.stages.0.learning_rate"]
        if drawn["config"] == "node.yaml":
            assert experiment.model.field.channels == drawn["node.model.field.channels"]
            assert "lstm.model.width" not in drawn
        else:
            assert experiment.model.width == drawn["lstm.model.width"]


def test_the_report_ranks_writes_the_best_and_draws(swept: Path, monkeypatch: pytest.MonkeyPatch, neuralmd) -> None:
    folder = swept.parents[1]
    monkeypatch.chdir(folder)
    printed = neuralmd("sweep-report", "runs/small").stdout
    values = sorted(record["value"] for record in records(swept))
    assert f"{values[0]:.3e}" in printed
    report = swept / "report"
    rows = list(csv.DictReader((report / "ranking.csv").read_text().splitlines()))
    assert [float(row["validation/best_mae_A"]) for row in rows] == values
    assert [one["value"] for one in json.loads((report / "ranking.json").read_text())["ranked"]] == values
    assert (report / "ranking.md").read_text().count("| small-trial-") == 6
    importance = json.loads((report / "ranking.json").read_text())["importance"]
    assert sum(importance.values()) == pytest.approx(1.0)
    figures = {path.name for path in report.glob("*.png")}
    assert figures == {"learning-curves.png", "parallel-coordinates.png", "importance.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in report.glob("*.png"))
    best = load(report / "best.yaml")
    winner = load(swept / rows[0]["trial"] / "config.yaml")
    assert (best.model, best.training, best.data) == (winner.model, winner.training, winner.data)
    neuralmd("train", "runs/small/report/best.yaml", "training.max_steps=2")
    assert (folder / "runs" / "small-best" / "model.pt").is_file()


def test_a_sweep_is_neither_restarted_nor_mixed_unasked(swept: Path, monkeypatch: pytest.MonkeyPatch, neuralmd) -> None:
    folder = swept.parents[1]
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in swept.glob("*/summary.json")}
    small = ("sweep", "small.yaml", "--engine", "optuna")
    assert "--resume goes on with it" in neuralmd(*small, code=2).stderr
    (folder / "other.yaml").write_text(SWEEP.replace("[2, 4]", "[2, 8]"))
    told = neuralmd("sweep", "other.yaml", "--engine", "optuna", "--resume", code=2).stderr
    assert "started with another parameters" in told
    assert "6 of 6 trials done" in neuralmd(*small, "--resume").stdout
    assert {path: path.stat().st_mtime_ns for path in swept.glob("*/summary.json")} == before


def test_all_killed_and_resumed_loses_and_repeats_nothing(water: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", water)
    (folder / "small.yaml").write_text(HALVED)
    sweep = folder / "runs" / "small"
    with started(folder) as process:
        wait_for(lambda: states(sweep)["complete"] and states(sweep)["running"], process)
        os.killpg(process.pid, signal.SIGKILL)
    finished = {path: path.stat().st_mtime_ns for path in sweep.glob("*/summary.json")}
    assert finished
    with started(folder, "--resume") as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())
    found = {record["values"]["training.stages.0.learning_rate"]: record for record in records(sweep)}
    assert [found[rate]["state"] for rate in (3e-2, 1e-7, 1e30)] == ["complete", "pruned", "failed"], output
    assert "diverged" in found[1e30]["error"]
    assert not (sweep / found[1e-7]["name"] / "summary.json").exists()
    assert "best validation/best_mae_A" in output


def test_a_request_to_end_gives_the_trial_back_at_once(water: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", water)
    sweep = folder / "runs" / "small"
    long = SWEEP.replace("parameters:", "parameters:\n  training.max_steps: {value: 100000}")
    (folder / "small.yaml").write_text(long)
    with started(folder) as process:
        wait_for(lambda: list(sweep.glob("*/last.pt")), process)
        os.killpg(process.pid, signal.SIGTERM)  # as a batch system does it
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].endswith("stopped; --resume goes on with it")
    waiting = [
        trial.user_attrs["place"] for trial in trials_of(sweep) if trial.state == optuna.trial.TrialState.WAITING
    ]
    assert sorted(waiting) == list(range(6))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("channels", "chanels", "did you mean 'channels'?"),
        ("q_log_uniform_values", "q_log_uniform_value", "did you mean q_log_uniform_values?"),
        ("min: 8, max: 32", "min: 32, max: 8", "the range is empty"),
        ("validation/best_mae_A", "val_loss", "no run logs 'val_loss'"),
        ("run_cap: 6\n", "", "give --trials, or run_cap"),
    ],
)
def test_a_bad_sweep_file_is_one_line_before_any_trial(
    water: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, neuralmd, old: str, new: str, told: str
) -> None:
    folder = prepare(tmp_path / "work", water)
    monkeypatch.chdir(folder)
    (folder / "small.yaml").write_text(SWEEP.replace(old, new))
    assert told in neuralmd("sweep", "small.yaml", "--engine", "optuna", code=2).stderr
    assert not (folder / "runs").exists()


def test_what_the_command_needs_is_told_in_one_line(workplace: Path, neuralmd, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(workplace))
    for name, text in (("node.yaml", NODE), ("lstm.yaml", LSTM), ("small.yaml", SWEEP)):
        (workplace / name).write_text(text)
    assert "--engine wandb needs a login" in neuralmd("sweep", "small.yaml", "--engine", "wandb", code=2).stderr
    assert "there is no such sweep file" in neuralmd("sweep", "gone.yaml", code=2).stderr
    assert "holds no sweep" in neuralmd("sweep-report", "runs/gone", code=2).stderr
    told = neuralmd("sweep", "small.yaml", "--storage", "nonsense", "--output", "there", code=2).stderr
    assert "--storage: the database cannot be opened" in told
    (workplace / "water.h5").unlink()
    assert "water.h5: there is no such trajectory" in neuralmd("sweep", "small.yaml", code=2).stderr
