"""Bad input on the command line: one line on stderr, exit code 2, nothing written; and what a plain start costs."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from neuralmd.cli import main
from neuralmd.cli.trajectories import simulate
from neuralmd.data.formats import write
from neuralmd.data.simulation_settings import SimulationSettings
from neuralmd.data.trajectory import Trajectory
from neuralmd.system import System

WATER = System.from_atomic_numbers([8, 1, 1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fine(folder: Path) -> Path:
    """A smooth trajectory of 60 frames without velocities."""
    positions = np.sin(0.1 * np.arange(60)[:, None, None] + np.arange(9).reshape(3, 3))
    write(Trajectory.uniform(WATER, positions, 0.5), folder / "fine.npz")
    return folder / "fine.npz"


def complaint(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """The one line that a command leaves on stderr."""
    with pytest.raises(SystemExit) as end:
        main(words)
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == code
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("info",), "Missing argument"),
        (("info", "a.h5", "--colour"), "No such option: --colour"),
        (("thin", "a.h5", "b.h5"), "Missing option '--stride'"),
        (("thin", "a.h5", "b.h5", "--stride", "x"), "--stride"),
        (("thin", "a.h5", "b.h5", "--stride", "5", "--velocities", "forward"), "'auto', 'stored', 'central'"),
    ],
)
def test_a_wrong_command_is_one_line(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str) -> None:
    line = complaint(capsys, *words)
    assert expected in line
    assert "--help" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("info", "absent.h5"), "does not exist"),
        (("info", "."), "not a file"),
        (("info", "letter.docx"), ".docx"),
        (("info", "truncated.h5"), "truncated.h5"),
        (("info", "text.npz"), "text.npz"),
        (("thin", "absent.h5", "b.h5", "--stride", "5"), "does not exist"),
        (("thin", "fine.npz", "b.h5", "--stride", "1"), "at least 2"),
        (("thin", "fine.npz", "b.h5", "--stride", "60"), "smaller stride"),
        (("thin", "fine.npz", "b.h5", "--stride", "5", "--velocities", "stored"), "--velocities central"),
        (("thin", "fine.npz", "b.docx", "--stride", "5"), ".docx"),
        (("thin", "fine.npz", "fine.npz", "--stride", "5", "--overwrite"), "the fine file itself"),
        (("thin", "fine.npz", "text.npz", "--stride", "5"), "--overwrite"),
        (("thin", "fine.npz", "fine.npz/b.h5", "--stride", "5"), "no folder"),
        (("simulate", "unobtainium", "b.h5"), "unobtainium"),
        (("simulate", "H2O", "b.h5", "--ensemble", "npt"), "ensemble"),
        (("simulate", "H2O", "b.h5", "--temperature", "-3"), "temperature"),
        (("simulate", "H2O", "b.h5", "--method", "dft"), "dft"),
        (("simulate", "H2O", "text.npz"), "--overwrite"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    fine: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    folder = fine.parent
    (folder / "text.npz").write_text("no numbers")
    with h5py.File(folder / "truncated.h5", "w") as file:
        file["numbers"] = np.zeros(10_000)
    os.truncate(folder / "truncated.h5", 30_000)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert expected in complaint(capsys, *words)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_position_that_is_not_a_number_names_its_frame(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    positions = np.zeros((5, 3, 3))
    positions[3, 1, 2] = np.nan
    np.savez(folder / "broken.npz", z=WATER.atomic_numbers, R=positions, dt_fs=0.5)
    assert "frame 3" in complaint(capsys, "info", "broken.npz")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_one_line(fine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed = fine.parent / "closed"
    closed.mkdir(mode=0o500)
    assert "closed" in complaint(capsys, "thin", "fine.npz", "closed/b.h5", "--stride", "5")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to stand for a full disk")
def test_a_full_disk_under_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "neuralmd", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: No space left on device"]


# A shell starts what runs in its background with Ctrl-C ignored, and so would be what this process starts.
LISTENING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from neuralmd.cli import main
main(sys.argv[1:])
"""


def test_ctrl_c_is_one_line_and_130(folder: Path) -> None:
    words = [sys.executable, "-c", LISTENING, "simulate", "H2O", "water.h5", "--steps", "1000000"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=folder)
    blocks = folder / "water.h5.blocks"
    deadline = time.monotonic() + 60
    try:
        while not blocks.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    lines = errors.splitlines()
    assert len(lines) == 1
    assert "--resume" in lines[0]
    assert not (folder / "water.h5").exists()


def test_info_shows_what_a_file_holds(fine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["info", "fine.npz"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert all(word in shown for word in ("3 (H2O)", "60", "0.5 fs", "positions", "1 of 60 frames", "33356 cm^-1"))


def test_thin_writes_a_coarse_file(fine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["thin", "fine.npz", "coarse.npz", "--stride", "5"])
    assert end.value.code == 0
    assert "coarse.npz: 12 frames" in capsys.readouterr().out


def test_simulate_has_the_defaults_of_its_settings() -> None:
    options = inspect.signature(simulate).parameters
    settings = SimulationSettings()
    shared = set(options) & set(vars(settings)) - {"every"}
    assert options["every"].default is None  # as many as the coarse step has
    assert {name: options[name].default for name in shared} == {name: getattr(settings, name) for name in shared}
    assert set(vars(settings)) - shared == {"block", "every"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["thin", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = f"""
import sys
from neuralmd.cli import main
try:
    main({words!r})
except SystemExit as end:
    print(end.code, sorted({{"torch", "ase", "h5py", "numpy", "matplotlib", "wandb", "pydantic"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("0 [")
    assert not {"torch", "ase", "h5py", "matplotlib", "wandb"} & set(done.stdout.splitlines()[-1].split("'"))
