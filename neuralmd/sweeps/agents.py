"""A training that an agent of wandb started: a trial of a sweep that the server draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from neuralmd.config import Experiment, yaml12
from neuralmd.config.selection import select
from neuralmd.sweeps import records
from neuralmd.sweeps.legality import counting
from neuralmd.sweeps.records import Record
from neuralmd.training.wandb_run import agent_run


def as_trial(experiment: Experiment) -> Experiment:
    """The experiment under a name of its own, if an agent started it: its trials differ in nothing else.

    Args:
        experiment: What the words of the command line stand for.
    """
    identity = agent_run()
    if identity is None:
        return experiment
    run = experiment.run.model_copy(update={"name": f"{experiment.run.name}-{identity}"})
    return experiment.model_copy(update={"run": run})


@contextmanager
def recorded(experiment: Experiment, words: Sequence[str]) -> Iterator[None]:
    """Keep the record of a trial that an agent started, so that `neuralmd sweep-report` knows it too.

    Args:
        experiment: The trial; its run lies in the sweep's folder.
        words: The command line that the agent gave.
    """
    folder = experiment.run.root
    if agent_run() is None or not (folder / records.SWEEP_FILE).is_file():
        yield
        return
    sweep = records.kept(folder)
    given = dict(word.split("=", 1) for word in words if "=" in word)
    keys = counting(sweep, select(words)[0])
    values = {key: yaml12.parse(text) for key, text in given.items() if key in keys}
    record = Record(experiment.run.name, values, "running")
    records.write(folder, record)
    try:
        yield
    except Exception as error:
        records.write(folder, replace(record, state="failed", error=" ".join(str(error).split())))
        raise
    value = records.final_value(experiment.run.folder, sweep.metric.name)
    records.write(folder, replace(record, state="complete", value=value))
