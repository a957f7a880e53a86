"""`neuralmd train` in several processes: the curve of one, whatever happens to any of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from conftest import CONFIG, environment

pytestmark = pytest.mark.slow

STEPS = 200
PATIENCE = 400.0  # s, for a machine with better things to do
STAGES = (
    "training.stages=[{kind: derivative, share: 0.6, batch_size: 5}, "
    "{kind: trajectory, share: 0.4, batch_size: 3, first_stride: 4, velocity_weight: 0.3, augmentation: rotations}]"
)
WORDS = (
    f"training.max_steps={STEPS}",
    "training.validate_every=50",
    STAGES,
    "model.correction={strides: [10]}",
    "model.error_bars={strides: [10]}",
)
RUN = Path("runs") / "water"


def torchrun(place: Path, *words: str) -> subprocess.Popen[str]:
    """Two processes of `torchrun`, in a process group of their own."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "neuralmd"]
    return start([*command, "train", "water.yaml", *words], place, environment())


def two_processes(places: Sequence[Path], *words: str) -> list[subprocess.Popen[str]]:
    """Two processes as `torchrun` would start them, but with nobody who ends one when the other fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    told = environment() | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    told |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "neuralmd", "train", "water.yaml", *words]
    return [start(command, place, told | {"RANK": str(r), "LOCAL_RANK": str(r)}) for r, place in enumerate(places)]


def start(command: Sequence[str], place: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=place, env=variables, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def ended(*processes: subprocess.Popen[str]) -> list[tuple[int, str, str]]:
    """Exit code and what was printed, of each; none is left behind."""
    try:
        printed = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return [(process.returncode, *said) for process, said in zip(processes, printed, strict=True)]


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not file.exists():
        assert process.poll() is None, "the training ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_same_curve(run: Path, expected: Path, resumed_at: int = 0) -> None:
    """The same lines, numbers to float tolerance, except for the time that it took.

    The first loss that a resumed training logs is the mean over the steps since then, and is not compared.
    """
    found, wanted = lines(run), lines(expected)
    assert [line.keys() for line in found] == [line.keys() for line in wanted]
    for one, other in zip(found, wanted, strict=True):
        partial = resumed_at > 0 and one["step"] - 100 < resumed_at
        left_out = {"train/minutes", "train/loss"} if partial else {"train/minutes"}
        compared = [{key: value for key, value in line.items() if key not in left_out} for line in (one, other)]
        assert compared[0] == pytest.approx(compared[1], rel=2e-4)


def step(run: Path) -> int:
    return torch.load(run / "last.pt", weights_only=True)["progress"]["step"]


def prepare(water: Path, place: Path) -> Path:
    (place / "water.h5").symlink_to(water)
    (place / "water.yaml").write_text(CONFIG)
    return place


def train_shared(place: Path, *words: str) -> tuple[str, str]:
    """What two processes of `torchrun` print, on stdout and stderr."""
    [(code, told, complaints)] = ended(torchrun(place, *WORDS, *words))
    assert code == 0, complaints
    return told, complaints


def one_process(place: Path, *words: str) -> subprocess.Popen[str]:
    return start([sys.executable, "-m", "neuralmd", "train", "water.yaml", *WORDS, *words], place, environment())


def train_alone(place: Path, *words: str) -> None:
    [(code, _, complaints)] = ended(one_process(place, *words))
    assert code == 0, complaints


@pytest.fixture(scope="module")
def shared_run(water: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that two processes made."""
    place = prepare(water, tmp_path_factory.mktemp("shared"))
    told, complaints = train_shared(place)
    assert [line.partition(":")[0] for line in told.splitlines()] == ["runs/water"], "only the first process speaks"
    assert complaints == ""
    return place / RUN


def test_two_processes_have_the_curve_of_one_and_write_one_run(shared_run: Path, workplace: Path) -> None:
    train_alone(workplace)
    assert_same_curve(shared_run, workplace / RUN)
    assert sum("train/loss" in line for line in lines(shared_run)) == STEPS // 100
    assert [path.name for path in shared_run.parent.iterdir()] == ["water"]
    assert {path.name for path in shared_run.iterdir()} == {path.name for path in (workplace / RUN).iterdir()}
    tables = [torch.load(run / "model.pt", weights_only=True)["model"] for run in (shared_run, workplace / RUN)]
    for name in ("correction.coefficients", "error_bars.table_0"):
        largest = float(tables[1][name].abs().max())
        assert largest > 0.0
        torch.testing.assert_close(tables[0][name], tables[1][name], rtol=0.01, atol=0.001 * largest)


def test_a_killed_group_resumes_to_the_same_weights(shared_run: Path, workplace: Path) -> None:
    broken = torchrun(workplace, *WORDS)
    wait_for(workplace / RUN / "last.pt", broken)
    for worker in workers(broken.pid):
        os.kill(worker, signal.SIGKILL)
    os.killpg(broken.pid, signal.SIGKILL)
    ended(broken)
    assert step(workplace / RUN) < STEPS, "the training ended before it was killed"
    train_shared(workplace, "--resume")
    again, unbroken = (torch.load(run / "last.pt", weights_only=True) for run in (workplace / RUN, shared_run))
    for part in ("model", "average"):
        assert all(torch.equal(again[part][name], unbroken[part][name]) for name in unbroken[part])


def workers(parent: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_one_process_goes_on_where_one_of_two_was_killed(shared_run: Path, workplace: Path) -> None:
    kill_one_of_two(workplace, 1)
    killed_at = step(workplace / RUN)
    train_alone(workplace, "--resume")
    assert_same_curve(workplace / RUN, shared_run, killed_at)


def test_the_second_process_ends_when_the_first_is_killed(workplace: Path) -> None:
    kill_one_of_two(workplace, 0)


def kill_one_of_two(workplace: Path, killed: int) -> None:
    both = two_processes([workplace, workplace], *WORDS)
    wait_for(workplace / RUN / "last.pt", both[0])
    both[killed].kill()
    code, told, complaints = ended(*both)[1 - killed]
    assert step(workplace / RUN) < STEPS, "the training ended before a process was killed"
    assert (code, told) == (2, "")
    assert complaints.startswith(f"error: process {1 - killed} of 2 ends because another is gone")
    assert complaints.count("\n") == 1


def test_two_processes_go_on_where_one_was_killed(shared_run: Path, workplace: Path) -> None:
    alone = one_process(workplace)
    wait_for(workplace / RUN / "last.pt", alone)
    alone.kill()
    ended(alone)
    killed_at = step(workplace / RUN)
    assert killed_at < STEPS, "the training ended before it was killed"
    train_shared(workplace, "--resume")
    assert_same_curve(workplace / RUN, shared_run, killed_at)


def test_all_stop_when_the_first_says_that_the_time_is_spent(workplace: Path) -> None:
    budget = ("training.max_steps=null", "training.max_minutes=0.03", "training.clock=cpu", "training.patience=100")
    outputs = ended(*two_processes([workplace, workplace], *WORDS[1:], *budget))
    assert [code for code, _, _ in outputs] == [0, 0], outputs
    assert [told.count("\n") for _, told, _ in outputs] == [1, 0]
    assert lines(workplace / RUN)[-1]["train/minutes"] >= 0.9 * 0.03


def nothing(places: list[Path]) -> None:
    """Leave all as it is."""


def no_data_for_the_second(places: list[Path]) -> None:
    (places[1] / "water.h5").unlink()


@pytest.mark.parametrize(
    ("spoil", "words", "speaker", "told"),
    [
        (nothing, ["training.stages=[{kind: derivative, batch_size: 1}]"], 0, "a batch of 1 cannot be shared by 2"),
        (nothing, ["training.stages=[{kind: derivative, learning_rate: 1.0e+30, batch_size: 2}]"], 0, "diverged"),
        (nothing, ["training.max_stepz=3"], 0, "max_stepz"),
        (no_data_for_the_second, [], 1, "water.h5"),
        (nothing, ["--resume"], 0, "no checkpoint to resume from"),
    ],
    ids=["small batch", "divergence", "misspelt", "no data for one", "nothing to resume"],
)
def test_a_failure_is_told_once(
    workplace: Path,
    water: Path,
    tmp_path_factory: pytest.TempPathFactory,
    spoil: Callable[[list[Path]], None],
    words: list[str],
    speaker: int,
    told: str,
) -> None:
    places = [workplace, prepare(water, tmp_path_factory.mktemp("second"))]
    spoil(places)
    outputs = ended(*two_processes(places, *words))
    assert [code for code, _, _ in outputs] == [2, 2], outputs
    assert outputs[1 - speaker][2] == ""
    assert outputs[speaker][2].startswith("error: ")
    assert outputs[speaker][2].count("\n") == 1
    assert told in outputs[speaker][2]
    assert not (places[1] / RUN).exists(), "only the first process writes"


def test_a_failure_of_the_first_amid_the_training_ends_the_other(workplace: Path) -> None:
    both = two_processes([workplace, workplace], "training.max_steps=1000000", "training.checkpoint_every=400")
    wait_for(workplace / RUN / "metrics.jsonl", both[0])
    (workplace / RUN / "last.pt").mkdir()
    outputs = ended(*both)
    assert [code for code, _, _ in outputs] == [2, 2], outputs
    assert "the checkpoint could not be written" in outputs[0][2]
    assert "process 1 of 2 ends because another is gone" in outputs[1][2]
    assert [complaints.count("\n") for _, _, complaints in outputs] == [1, 1]
