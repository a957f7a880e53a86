"""One trial of a sweep: its values become an experiment, the experiment a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from neuralmd.config import Experiment
from neuralmd.errors import NeuralMDError
from neuralmd.runs import is_trained, require_alike, train
from neuralmd.sweeps import records
from neuralmd.sweeps.distributions import Value
from neuralmd.sweeps.legality import experiment_of
from neuralmd.sweeps.space import Sweep
from neuralmd.training.loop import LAST
from neuralmd.training.tracking import Observe

_ADVICE = "or begin a sweep of its own with --output"


def trial_experiment(sweep: Sweep, folder: Path, name: str, values: Mapping[str, Value]) -> Experiment:
    """The experiment of a trial: its run lies in the sweep's folder, its group in wandb is the sweep.

    Raises:
        ConfigError: If the values are no experiment.
    """
    drawn = experiment_of(sweep, values)
    run = drawn.run.model_copy(update={"name": name, "root": folder})
    tracking = drawn.tracking.model_copy(update={"group": sweep.name})
    return drawn.model_copy(update={"run": run, "tracking": tracking})


def require_alike_trials(sweep: Sweep, folder: Path) -> None:
    """Refuse to go on with a sweep whose configurations were changed since: its trials could not be ranked together.

    Raises:
        ConfigError: If a trial in the folder, one that did not fail, was trained with other settings than its values
            and the configurations stand for now.
    """
    for record in records.read(folder):
        if record.state != "failed":
            require_alike(trial_experiment(sweep, folder, record.name, record.values), _ADVICE)


def run_trial(experiment: Experiment, metric: str, observe: Observe) -> float:
    """Train a trial, go on with it where it was left, or take its value from where it is done already.

    Args:
        experiment: What to train.
        metric: The value that is asked for.
        observe: Watches the training.

    Raises:
        Stop: If the observer wants no more.
        ConfigError: If the trial's folder holds a training with other settings.
        NeuralMDError: If the training fails, or gives the metric no finite value.
    """
    folder = experiment.run.folder
    require_alike(experiment, _ADVICE)
    if not is_trained(experiment):
        resume = (folder / LAST).is_file()
        train(experiment, resume=resume, overwrite=not resume, observe=observe)
    value = records.final_value(folder, metric)
    if value is None or not math.isfinite(value):
        raise NeuralMDError(f"{folder}: the run gave {metric} no finite value")
    return value
