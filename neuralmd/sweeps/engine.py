"""The sweep by Optuna, on this machine and any other that shares its database: no server of wandb, no login."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from neuralmd.config.selection import CONFIG_KEY
from neuralmd.errors import ConfigError, NeuralMDError
from neuralmd.sweeps import records
from neuralmd.sweeps.distributions import Choice
from neuralmd.sweeps.drawing import label, sources_of
from neuralmd.sweeps.legality import grid_of, grid_size
from neuralmd.sweeps.plan import Plan, trial_name
from neuralmd.sweeps.queue import Queue
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.space import Sweep
from neuralmd.sweeps.trials import require_alike_trials

_LOOK = 1.0  # s
_FAREWELL = 60.0  # s
_RESTARTS_EACH = 5


@dataclass(frozen=True)
class Settings:
    """How a sweep is run.

    Attributes:
        folder: Where it and its runs are.
        storage: The study's database, as SQLAlchemy names it; none for a SQLite file in the folder.
        trials: Number of trials; none for the grid's, or for run_cap.
        workers: Processes on this machine.
        max_minutes: Time after which no new trial begins [min]; none for no limit.
        resume: Whether it may be there already.
        heartbeat: Seconds between a worker's signs of life; a trial without any for three times as long runs again.
    """

    folder: Path
    storage: str | None = None
    trials: int | None = None
    workers: int = 1
    max_minutes: float | None = None
    resume: bool = False
    heartbeat: int = 20


def run(sweep: Sweep, settings: Settings, advance: Callable[[int], None]) -> list[Record]:
    """Run a sweep to its end, or as far as the time allows.

    Args:
        sweep: What is drawn; checked already.
        settings: How it is run.
        advance: Called with the number of trials that are done.

    Returns:
        The trials that are done.

    Raises:
        ConfigError: If it is there already and not to be resumed, or another sweep is, or nothing limits it, or its
            configurations were changed since.
        NeuralMDError: If its workers keep dying, or every trial failed.
        KeyboardInterrupt: After Ctrl-C; the trials at hand go on with `resume`.
    """
    places = number_of_trials(sweep, settings.trials)
    folder = settings.folder
    if (folder / records.SWEEP_FILE).is_file() and not settings.resume:
        raise ConfigError(
            f"{folder}: a sweep is there already; --resume goes on with it, --output names another folder"
        )
    records.keep(folder, sweep)
    require_alike_trials(sweep, folder)
    storage = settings.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    until = None if settings.max_minutes is None else time.time() + 60.0 * settings.max_minutes
    plan = Plan(str(folder), storage, places, settings.workers, settings.heartbeat, until)
    with closing(plan.queue(sweep)) as queue:
        queue.fill(_points(sweep, places))
        with _terminable():
            _supervise(plan, queue, advance)
        _settle(sweep, folder, queue.given_up())
        names = {trial_name(sweep, place) for place in queue.finished()}
    done = [record for record in records.read(folder) if record.name in names]
    if done and all(record.state == "failed" for record in done):
        raise NeuralMDError(f"{folder}: all {len(done)} trials failed, the first: {done[0].error}")
    return done


def number_of_trials(sweep: Sweep, wanted: int | None) -> int:
    """How many trials a sweep has.

    Raises:
        ConfigError: If nothing limits it.
    """
    limits = [count for count in (wanted if wanted is not None else sweep.run_cap,) if count is not None]
    if sweep.method == "grid":
        limits.append(grid_size(sweep))
    if not limits:
        raise ConfigError(f"{sweep.path}: method {sweep.method} has no end: give --trials, or run_cap in the file")
    return min(limits)


def _points(sweep: Sweep, places: int) -> list[dict[str, str]]:
    """The values that are fixed from the start.

    Those of a grid; of random trials the configuration, which they take in turn: each gets as many as the others.
    """
    varied = sources_of(sweep)
    turns = varied.get(CONFIG_KEY)
    if sweep.method == "random" and isinstance(turns, Choice) and turns.probabilities is None:
        return [{CONFIG_KEY: label(turns.options[place % len(turns.options)])} for place in range(places)]
    if sweep.method != "grid":
        return [{} for _ in range(places)]
    points = ({key: label(value) for key, value in point.items() if key in varied} for point in grid_of(sweep))
    return [point for _, point in zip(range(places), points, strict=False)]


def _supervise(plan: Plan, queue: Queue, advance: Callable[[int], None]) -> None:
    """Start the workers, replace those that die, and wait for all."""
    running = [_start(plan) for _ in range(plan.workers)]
    restarts = _RESTARTS_EACH * plan.workers
    try:
        while running:
            time.sleep(_LOOK)
            advance(len(queue.finished()))
            for worker in [one for one in running if one.poll() is not None]:
                running.remove(worker)
                if worker.returncode == 0 or queue.is_over(plan.places):
                    continue
                if restarts == 0:
                    raise NeuralMDError(
                        f"{plan.folder}: the workers keep dying, the last with code {worker.returncode}: see what they "
                        "said above; --resume goes on"
                    )
                restarts -= 1
                running.append(_start(plan))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{plan.folder}: stopped; --resume goes on with it") from None
    finally:
        _stop(running)


def _start(plan: Plan) -> subprocess.Popen[str]:
    words, told = plan.command()
    worker = subprocess.Popen(words, stdin=subprocess.PIPE, text=True)  # noqa: S603 - this very program
    if worker.stdin is not None:
        worker.stdin.write(told)
        worker.stdin.close()
    return worker


def _stop(workers: list[subprocess.Popen[str]]) -> None:
    """Ask workers to end, which hands their trials back, and end those that do not."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        try:
            worker.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _settle(sweep: Sweep, folder: Path, given_up: set[int]) -> None:
    """Say in the records of trials that killed their workers that they failed."""
    known = {record.name: record for record in records.read(folder)}
    for place in given_up:
        name = trial_name(sweep, place)
        if name in known:
            records.write(folder, replace(known[name], state="failed", error="its worker died again and again"))


@contextmanager
def _terminable() -> Iterator[None]:
    """Take a request to end, as a batch system sends it, for Ctrl-C."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
