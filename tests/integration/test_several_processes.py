"""A reconstruction shared by two processes that torchrun starts: the same bytes, and a dead process loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import environment

pytestmark = pytest.mark.slow

STRIDE = 20
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture
def workplace(trained: Path, tmp_path: Path) -> Path:
    """A folder with the run and a coarse file of 1499 gaps."""
    shutil.copytree(trained, tmp_path / "runs" / "water")
    (tmp_path / "coarse.h5").symlink_to(trained.parents[1] / "water.h5")
    return tmp_path


def words(output: str, *more: str) -> list[str]:
    return ["reconstruct", "coarse.h5", output, "--run", "runs/water", "--stride", str(STRIDE), *more]


def start(folder: Path, *arguments: str, together: bool) -> subprocess.Popen[str]:
    # Without "--", torchrun would take --run for an option of its own.
    launcher = (*LAUNCHER, "-m", "--") if together else ("-m",)
    command = [sys.executable, *launcher, "neuralmd", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(), start_new_session=True, **pipes)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_blocks(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while len(list(folder.glob("block-*"))) < count:
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_write_what_one_writes_and_one_that_dies_loses_nothing(workplace: Path) -> None:
    code, alone, err = finish(start(workplace, *words("alone.h5"), together=False))
    assert code == 0, err
    code, together, err = finish(start(workplace, *words("together.h5"), together=True))
    assert code == 0, err
    whole = (workplace / "alone.h5").read_bytes()
    assert (workplace / "together.h5").read_bytes() == whole
    assert together == alone.replace("alone.h5", "together.h5")
    assert not (workplace / "together.h5.blocks").exists()

    broken = start(workplace, *words("broken.h5"), together=True)
    wait_for_blocks(workplace / "broken.h5.blocks", 3, broken)
    workers = children(broken.pid)
    assert len(workers) == 2
    os.kill(workers[-1], signal.SIGKILL)
    code, _, _ = finish(broken)
    assert code != 0
    assert not (workplace / "broken.h5").exists()
    done = len(list((workplace / "broken.h5.blocks").glob("block-*")))
    assert done < 24
    code, _, err = finish(start(workplace, *words("broken.h5", "--resume"), together=True))
    assert code == 0, err
    assert (workplace / "broken.h5").read_bytes() == whole

    code, _, err = finish(start(workplace, *words("alone.h5"), together=True))
    assert code != 0
    assert err.count("error: alone.h5 exists already") == 1
    assert (workplace / "alone.h5").read_bytes() == whole
