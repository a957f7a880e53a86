"""A real trajectory, small enough for every test that needs one: water by GFN2-xTB."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuralmd.cli import main
from neuralmd.data.engines import calculator
from neuralmd.data.molecules import molecule
from neuralmd.data.simulate import SimulationSettings, simulate

Neuralmd = Callable[..., "Output"]

CONFIG = """\
run: {name: water}
data: {path: water.h5, stride: 10, purge: 20}
model: {field: {kind: equivariant, channels: 8, radial_width: 16}}
training:
  max_minutes: null
  max_steps: 300
  validate_every: 100
  checkpoint_every: 20
  stages: [{kind: derivative, batch_size: 8}]
tracking: {wandb: disabled}
device: cpu
"""


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def water(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("water") / "water.h5"
    settings = SimulationSettings(steps=1500, equilibration=200, seed=1)
    simulate(molecule("H2O"), calculator("gfn2-xtb"), settings, path)
    return path


@pytest.fixture
def workplace(water: Path, tmp_path: Path) -> Path:
    """A folder with the trajectory and a config of its own."""
    (tmp_path / "water.h5").symlink_to(water)
    (tmp_path / "water.yaml").write_text(CONFIG)
    return tmp_path


@dataclass(frozen=True)
class Output:
    """What a command printed."""

    stdout: str
    stderr: str


@pytest.fixture
def neuralmd(workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Neuralmd:
    """Runs the command line in the workplace, within this process."""
    monkeypatch.chdir(workplace)

    def run(*words: str, code: int = 0) -> Output:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        printed = Output(*capfd.readouterr())
        assert ended.value.code == code, printed.stderr
        if code == 2:
            assert printed.stderr.startswith("error: ")
            assert printed.stderr.count("\n") == 1
        return printed

    return run


@pytest.fixture(scope="session")
def trained(water: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of 300 steps in runs/water. Tests read it and write elsewhere."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "water.h5").symlink_to(water)
    (folder / "water.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "neuralmd", "train", "water.yaml"]
    subprocess.run(command, cwd=folder, env=environment(), check=True, timeout=300)
    return folder / "runs" / "water"
