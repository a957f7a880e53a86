"""What a sweep that goes on makes of the trials in its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from neuralmd.config import dump
from neuralmd.errors import ConfigError
from neuralmd.sweeps import engine, engine_wandb, records
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.space import Sweep, load
from neuralmd.sweeps.trials import require_alike_trials, run_trial, trial_experiment

CONFIG = """
run: {name: lstm}
data: {path: a.h5}
model: {kind: recurrent, depth: 1}
training: {stages: [{kind: trajectory}]}
"""
SWEEP = """
name: small
method: random
run_cap: 3
metric: {name: validation/best_mae_A}
command: [neuralmd, train, lstm.yaml, "${args_no_hyphens}"]
parameters:
  model.width: {values: [16, 32]}
  training.max_steps: {value: 10}
"""
VALUES = {"model.width": 16, "training.max_steps": 10}
NAME = "small-trial-000"
SETTINGS = engine.Settings(Path("runs/small"), resume=True)
AGENTS = engine_wandb.Agents(Path("runs/small"), resume=True)


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """A sweep of which one trial is done."""
    monkeypatch.chdir(tmp_path)
    Path("lstm.yaml").write_text(CONFIG)
    Path("small.yaml").write_text(SWEEP)
    swept = load(Path("small.yaml"))
    records.keep(SETTINGS.folder, swept)
    records.write(SETTINGS.folder, Record(NAME, VALUES, "complete", 1e-4))
    run = SETTINGS.folder / NAME
    run.mkdir()
    (run / "config.yaml").write_text(dump(trial_experiment(swept, SETTINGS.folder, NAME, VALUES)))
    return swept


def test_trials_of_the_same_settings_are_kept(sweep: Sweep) -> None:
    require_alike_trials(sweep, SETTINGS.folder)
    Path("lstm.yaml").write_text(CONFIG + "device: cpu\ntracking: {wandb: offline}\n")
    require_alike_trials(sweep, SETTINGS.folder)


def test_trials_of_a_configuration_that_was_changed_are_not_ranked_with_the_rest(sweep: Sweep) -> None:
    Path("lstm.yaml").write_text(CONFIG.replace("depth: 1", "depth: 2"))
    told = rf"{NAME}: holds a training with other settings.*model\.depth \(1 -> 2\); put them back, or begin a sweep of"
    with pytest.raises(ConfigError, match=told):
        engine.run(sweep, SETTINGS, lambda _: None)
    with pytest.raises(ConfigError, match=told):
        engine_wandb.run(sweep, AGENTS)
    failed = replace(records.read(SETTINGS.folder)[0], state="failed", value=None)
    records.write(SETTINGS.folder, failed)
    require_alike_trials(sweep, SETTINGS.folder)


def test_a_run_that_an_earlier_sweep_left_is_not_taken_for_a_trial(sweep: Sweep) -> None:
    run = SETTINGS.folder / NAME
    (run / "summary.json").write_text('{"validation/best_mae_A": 1e-5}')
    (run / "model.pt").touch()
    same = trial_experiment(sweep, SETTINGS.folder, NAME, VALUES)
    assert run_trial(same, sweep.metric.name, lambda _step, _metrics: None) == 1e-5
    other = trial_experiment(sweep, SETTINGS.folder, NAME, VALUES | {"model.width": 32})
    with pytest.raises(ConfigError, match=r"model\.width \(16 -> 32\)"):
        run_trial(other, sweep.metric.name, lambda _step, _metrics: None)
