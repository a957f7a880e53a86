"""Two sweeps that share one study in PostgreSQL, as two machines would: one worker killed, no trial lost or twice."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from test_sweep_runs import prepare, records, started, states, trials_in, wait_for

BINARIES = [Path("/usr/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]


def program(name: str) -> str:
    """A program of PostgreSQL; a test that needs it is skipped where it is not installed."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, BINARIES), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not installed (Debian: postgresql)")
    return found


def as_server(words: list[str]) -> list[str]:
    """A command as the user that the server runs under: it refuses to be root."""
    if os.geteuid() != 0:
        return words
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *words]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a database on a server of its own."""
    initialise, serve = program("initdb"), program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="neuralmd-postgres-"))  # pytest's own are for their owner only
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    setup = [initialise, "-D", str(data), "-U", "neuralmd", "--auth", "trust", "--no-sync"]
    subprocess.run(as_server(setup), check=True, capture_output=True, cwd=folder)
    words = [serve, "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1", "-F"]
    with subprocess.Popen(as_server(words), cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "ready to accept connections" in line:
                break
        yield f"postgresql+psycopg://neuralmd@127.0.0.1:{port}/postgres"
        process.send_signal(signal.SIGINT)
        process.stderr.close()
    shutil.rmtree(folder)


def test_machines_share_a_study_and_one_loses_a_worker(server: str, water: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", water)
    sweep = folder / "runs" / "small"
    join = ("--storage", server, "--resume")
    with started(folder, *join) as one, started(folder, *join) as other:
        wait_for(lambda: states(sweep)["complete"] >= 1 and states(sweep)["running"], one)
        victim = next(record for record in records(sweep) if record["state"] == "running")
        os.kill(int(victim["worker"].split(":")[1]), signal.SIGKILL)
        for process in (one, other):
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            assert "6 of 6 trials done (6 complete)" in output
    trials = trials_in(server)
    done = Counter(trial.user_attrs["place"] for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE)
    assert done == Counter(range(6))
    assert {record["value"] for record in records(sweep)} == {
        trial.value for trial in trials if trial.value is not None
    }
    assert not (sweep / "study.db").exists()
