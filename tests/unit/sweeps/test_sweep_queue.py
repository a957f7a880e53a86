"""The queue of a sweep: every place taken once, whatever processes take and whichever die."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from neuralmd.errors import ConfigError
from neuralmd.sweeps.queue import Queue
from neuralmd.sweeps.space import Sweep, load
from neuralmd.sweeps.study import open_study, turn

SWEEP = """
method: {method}
metric: {{name: validation/best_mae_A, goal: minimize{target}}}
command: [neuralmd, train, a.yaml, "${{args_no_hyphens}}"]
parameters: {{seed: {{values: [1, 2, 3, 4]}}, model.field.cutoff: {{min: 3.0, max: 6.0}}}}
"""

WORKER = """
import sys
from pathlib import Path
from test_sweep_queue import queue_in

queue = queue_in(Path(sys.argv[1]))
while (claim := queue.claim()) is not None:
    print(claim.place, flush=True)
    claim.trial.suggest_int("seed", 1, 4)
    queue.finish(claim, float(claim.place))
"""


def sweep_in(folder: Path, method: str = "random", target: str = "") -> Sweep:
    file = folder / "sweep.yaml"
    if not file.exists():
        file.write_text(SWEEP.format(method=method, target=target))
    return load(file)


def queue_in(folder: Path, heartbeat: int = 60, target: str = "") -> Queue:
    sweep = sweep_in(folder, target=target)
    lock = folder / "lock"
    return Queue(sweep, *open_study(sweep, f"sqlite:///{folder / 'study.db'}", heartbeat, lock), lock)


@pytest.fixture
def opened() -> Iterator[Callable[..., Queue]]:
    """Queues that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda *arguments, **named: stack.enter_context(closing(queue_in(*arguments, **named)))


def test_processes_take_every_place_once(tmp_path: Path, opened: Callable[..., Queue]) -> None:
    opened(tmp_path).fill([{}] * 16)
    script = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen(script, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [int(place) for worker in workers for place in worker.communicate(timeout=120)[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert Counter(taken) == Counter(range(16))
    assert opened(tmp_path).is_over(16)


def test_filling_twice_and_further_adds_no_place_twice(tmp_path: Path, opened: Callable[..., Queue]) -> None:
    queue = opened(tmp_path)
    queue.fill([{}] * 2)
    queue.fill([{}] * 4)
    places = []
    while (claim := queue.claim()) is not None:
        places.append(claim.place)
        queue.finish(claim, 1.0)
    assert places == [0, 1, 2, 3]


def test_a_dead_workers_place_waits_again_with_its_values(tmp_path: Path, opened: Callable[..., Queue]) -> None:
    queue = opened(tmp_path, heartbeat=1)
    queue.fill([{}] * 2)
    dead = queue.claim()
    assert dead is not None
    drawn = dead.trial.suggest_float("model.field.cutoff", 3.0, 6.0)
    other = queue.claim()
    assert other is not None
    with queue.beating(other):
        deadline = time.monotonic() + 60
        while (again := queue.claim()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert again.place == dead.place
    assert again.trial.suggest_float("model.field.cutoff", 3.0, 6.0) == drawn
    assert queue.finish(again, 1.0)
    assert not queue.finish(dead, 0.5)
    assert queue.finish(other, 2.0)
    assert queue.is_over(2)
    assert queue.study.best_value == 1.0


def test_a_place_given_back_waits_and_one_that_failed_does_not(tmp_path: Path, opened: Callable[..., Queue]) -> None:
    queue = opened(tmp_path)
    queue.fill([{}] * 2)
    first, second = queue.claim(), queue.claim()
    assert first is not None
    assert second is not None
    for _ in range(6):  # leaving is no death, however often
        queue.give_back(first)
        first = queue.claim()
        assert first is not None
        assert first.place == 0
    queue.fail(second, "diverged")
    assert queue.claim() is None
    assert queue.finished() == {1}
    queue.prune(first)
    assert queue.is_over(2)


def test_a_place_that_kills_its_workers_is_given_up(tmp_path: Path, opened: Callable[..., Queue]) -> None:
    queue = opened(tmp_path, heartbeat=1)
    queue.fill([{}])
    deaths = 0
    deadline = time.monotonic() + 120
    while not queue.is_over(1):
        deaths += queue.claim() is not None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert deaths == 3
    assert queue.given_up() == {0}


def test_the_target_ends_a_sweep(tmp_path: Path, opened: Callable[..., Queue]) -> None:
    queue = opened(tmp_path, target=", target: 0.5")
    queue.fill([{}] * 3)
    for value, over in ((0.7, False), (0.4, True)):
        claim = queue.claim()
        assert claim is not None
        queue.finish(claim, value)
        assert queue.is_over(3) is over


def test_draws_do_not_depend_on_who_draws(tmp_path: Path, opened: Callable[..., Queue]) -> None:
    values: list[dict[int, float]] = []
    for name, workers in (("one", (0, 0, 0)), ("two", (0, 1, 0))):
        (tmp_path / name).mkdir()
        queues = [opened(tmp_path / name) for _ in range(2)]
        queues[0].fill([{}] * 3)
        drawn = {}
        for worker in workers:
            claim = queues[worker].claim()
            assert claim is not None
            drawn[claim.place] = claim.trial.suggest_float("model.field.cutoff", 3.0, 6.0)
        values.append(drawn)
    assert values[0] == values[1]
    assert len(set(values[0].values())) == 3


def test_a_slow_worker_that_was_taken_for_dead_is_waited_for(tmp_path: Path) -> None:
    entered = threading.Event()

    def other() -> None:
        with turn(tmp_path / "lock"):
            entered.set()

    with turn(tmp_path / "lock"):
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    thread.join()


def test_a_database_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path)
    for url, told in (
        ("nonsense", "parse"),
        ("sqlite:////no/such/folder/a.db", "unable to open"),
        ("oracle://a", "package for this kind of database is missing"),
    ):
        with pytest.raises(ConfigError, match=f"--storage: .*{told}") as caught:
            open_study(sweep, url, 60, None)
        assert "\n" not in str(caught.value)
