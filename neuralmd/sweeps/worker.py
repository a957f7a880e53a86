"""A worker: a process that takes trials from the queue until nothing is left. `python -m neuralmd.sweeps.worker`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from optuna.exceptions import UpdateFinishedTrialError

from neuralmd.errors import NeuralMDError
from neuralmd.sweeps import records
from neuralmd.sweeps.drawing import draw_all
from neuralmd.sweeps.plan import Plan, trial_name
from neuralmd.sweeps.queue import Claim, Queue
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.space import Sweep
from neuralmd.sweeps.study import turn
from neuralmd.sweeps.trials import run_trial, trial_experiment
from neuralmd.training.history import history
from neuralmd.training.tracking import Observe, Stop

_LOGGER = logging.getLogger(__name__)
_PAUSE = 1.0  # s


class _Lost(Exception):  # noqa: N818 - no error: another worker has the trial
    """The trial was taken for dead and another worker has it."""


def work(plan: Plan) -> None:
    """Take trials until none is left, or the time is up.

    Raises:
        ConfigError: If the sweep or its database cannot be read.
        KeyboardInterrupt: After Ctrl-C or a request to end; the trial at hand waits again and goes on where it was.
    """
    sweep = records.kept(plan.root)
    with closing(plan.queue(sweep)) as queue:
        _work(plan, sweep, queue)


def _work(plan: Plan, sweep: Sweep, queue: Queue) -> None:
    while not queue.is_over(plan.places) and (plan.until is None or time.time() < plan.until):
        claim = queue.claim()
        if claim is None:
            time.sleep(_PAUSE)
            continue
        try:
            # The lock, since a worker that was only slow may be taken for dead while it still writes the run.
            with queue.beating(claim), turn(plan.lock_of(claim.place)):
                _try(plan, sweep, queue, claim)
        except _Lost:
            _LOGGER.warning("trial %d was taken for dead and given to another worker", claim.place)
        except KeyboardInterrupt:
            queue.give_back(claim)
            raise


def _try(plan: Plan, sweep: Sweep, queue: Queue, claim: Claim) -> None:
    """Run a trial and take down how it ended: its record first, so that the study never knows more than the folder."""
    values = draw_all(sweep, claim.trial)
    name = trial_name(sweep, claim.place)
    record = Record(name, values, "running", worker=f"{socket.gethostname()}:{os.getpid()}")
    records.write(plan.root, record)
    try:
        experiment = trial_experiment(sweep, plan.root, name, values)
        value = run_trial(experiment, sweep.metric.name, _watch(sweep, plan.root / name, claim))
    except Stop:
        value = records.final_value(plan.root / name, sweep.metric.name)
        records.write(plan.root, replace(record, state="pruned", value=value))
        queue.prune(claim)
    except _Lost:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, NeuralMDError) else f"{type(error).__name__}: {error}"
        _LOGGER.warning("trial %d failed: %s", claim.place, reason, exc_info=not isinstance(error, NeuralMDError))
        records.write(plan.root, replace(record, state="failed", error=" ".join(reason.split())))
        queue.fail(claim, reason)
    else:
        records.write(plan.root, replace(record, state="complete", value=value))
        queue.finish(claim, value)


def _watch(sweep: Sweep, run: Path, claim: Claim) -> Observe:
    """An observer that tells the study of every new value, and stops a trial that the pruner gives up."""
    metric = sweep.metric.name

    def observe(_step: int, metrics: Mapping[str, float]) -> None:
        if metric not in metrics:
            return
        logged = history(run, metric)
        try:
            if logged:
                claim.trial.report(logged[-1].value, len(logged))
        except (UpdateFinishedTrialError, ValueError):
            raise _Lost from None
        if sweep.early_terminate is not None and claim.trial.should_prune():
            raise Stop

    return observe


def _leave(_signal: int, _frame: object) -> None:
    """End as after Ctrl-C, once: what follows must not break into the handing back."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """Work by the plan on standard input, and exit with 0 if nothing went wrong that concerns more than one trial."""
    plan = Plan.told(sys.stdin.readline())
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _leave)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // plan.workers))
    try:
        work(plan)
    except NeuralMDError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
