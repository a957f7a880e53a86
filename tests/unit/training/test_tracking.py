"""Metrics on disk and in a real offline run of wandb."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from neuralmd.errors import ConfigError
from neuralmd.training.tracking import METRICS_FILE, SUMMARY_FILE, Tracker
from neuralmd.training.wandb_run import WandbSettings, has_login, resolve_mode

NOWHERE = WandbSettings(mode="disabled")


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]


def track(folder: Path, steps: range, resume_step: int | None = None) -> None:
    with Tracker(folder, {}, NOWHERE, resume_step=resume_step) as tracker:
        for step in steps:
            tracker.log({"loss": 1.0 / (step + 1)}, step)


def test_each_log_is_a_line(tmp_path: Path) -> None:
    track(tmp_path / "run", range(3))
    assert lines(tmp_path / "run") == [{"step": step, "loss": 1.0 / (step + 1)} for step in range(3)]


def test_a_line_is_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    with Tracker(tmp_path, {}, NOWHERE) as tracker:
        tracker.log({"loss": 0.5}, 7)
        assert lines(tmp_path) == [{"step": 7, "loss": 0.5}]


def test_a_value_that_is_not_finite_is_null(tmp_path: Path) -> None:
    with Tracker(tmp_path, {}, NOWHERE) as tracker:
        tracker.log({"a": math.nan, "b": math.inf, "c": 1}, 0)
    assert lines(tmp_path) == [{"step": 0, "a": None, "b": None, "c": 1.0}]


def test_a_new_run_starts_a_new_file(tmp_path: Path) -> None:
    track(tmp_path, range(3))
    track(tmp_path, range(1))
    assert [line["step"] for line in lines(tmp_path)] == [0]


def test_a_run_that_goes_on_has_no_summary_until_it_ends_again(tmp_path: Path) -> None:
    with Tracker(tmp_path, {}, NOWHERE) as tracker:
        tracker.summarise({"best": 1.0})
    with Tracker(tmp_path, {}, NOWHERE, resume_step=0) as tracker:
        assert not (tmp_path / SUMMARY_FILE).exists(), "a kill from here on must not leave it for a finished one"
        tracker.summarise({"best": 0.5})
    assert json.loads((tmp_path / SUMMARY_FILE).read_text()) == {"best": 0.5}


def test_resuming_drops_later_and_torn_lines(tmp_path: Path) -> None:
    track(tmp_path, range(6))
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"step": 2, "lo')
    track(tmp_path, range(4, 6), resume_step=3)
    assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2, 3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]


def test_resuming_without_a_file_starts_one(tmp_path: Path) -> None:
    track(tmp_path, range(4, 6), resume_step=3)
    assert [line["step"] for line in lines(tmp_path)] == [4, 5]


def test_the_summary_is_a_file(tmp_path: Path) -> None:
    with Tracker(tmp_path, {}, NOWHERE) as tracker:
        tracker.summarise({"mae": 4e-4, "worst": math.nan})
    assert json.loads((tmp_path / SUMMARY_FILE).read_text()) == {"mae": 4e-4, "worst": None}


def test_without_a_login_auto_is_offline() -> None:
    assert not has_login()
    assert resolve_mode("auto") == "offline"


def test_a_key_is_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert resolve_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode("auto") == "disabled"


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        ("machine api.wandb.ai login user password secret\n", True),
        ("machine example.org login user password secret\n", False),
        ("machine api.wandb.ai nonsense\n", False),
    ],
)
def test_an_entry_in_netrc_is_a_login(tmp_path: Path, entry: str, login: bool) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(entry)
    netrc.chmod(0o600)
    assert has_login() == login


def test_an_own_server_needs_its_own_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "elsewhere"
    netrc.write_text("machine wandb.example.org login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert not has_login()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert has_login()


def test_online_without_a_login_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a login"):
        Tracker(tmp_path, {}, WandbSettings(mode="online"))


SCRIPT = """
import sys
from pathlib import Path
from neuralmd.training.tracking import Tracker
from neuralmd.training.wandb_run import WandbSettings

folder, mode, resume = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
settings = WandbSettings(mode=mode, name="test", group="tests", tags=("a",))
with Tracker(folder, {"data.stride": 20, "data.timestep": None}, settings, resume_step=int(resume) or None) as tracker:
    for step in range(3):
        tracker.log({"loss": 1.0 / (step + 1)}, step)
    tracker.summarise({"mae": 4e-4})
print("wandb" in sys.modules)
"""


def run(folder: Path, mode: str, resume: int = 0) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", SCRIPT, str(folder), mode, str(resume)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False, cwd=folder.parent)


def test_disabled_never_imports_wandb(tmp_path: Path) -> None:
    done = run(tmp_path / "run", "disabled")
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
    assert not (tmp_path / "run" / "wandb").exists()


def test_an_offline_run_is_real_quiet_and_resumes_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for resume in (0, 1):
        done = run(folder, "auto", resume)
        assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    written = list(folder.glob("wandb/offline-run-*/run-*.wandb"))
    identity = (folder / "wandb-id").read_text().strip()
    assert {path.name for path in written} == {f"run-{identity}.wandb"}
    assert all(path.stat().st_size > 0 for path in written)
    assert not (tmp_path / "wandb").exists()


def test_a_broken_wandb_warns_once_and_training_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "wandb").write_text("a file where wandb needs a folder")
    with Tracker(tmp_path, {}, WandbSettings(mode="offline")) as tracker:
        tracker.log({"loss": 1.0}, 0)
        tracker.log({"loss": 2.0}, 1)
    assert [line["step"] for line in lines(tmp_path)] == [0, 1]
    assert len([record for record in caplog.records if "wandb failed" in record.message]) == 1
