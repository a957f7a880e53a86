"""The wheel, in a virtual environment of its own, outside the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from neuralmd.config.shipped import shipped

ROOT = Path(__file__).resolve().parents[2]


def call(*words: str | Path, folder: Path, **variables: str) -> str:
    """What a command prints; no variable of this process leads it back into the repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", **variables}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel, and the dependencies of this one by links."""
    place = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    call(*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", place, ROOT, folder=place)
    (wheel,) = place.glob("neuralmd-*.whl")
    venv.create(place / "environment", symlinks=True)
    python = place / "environment" / "bin" / "python"
    call(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, folder=place)
    dependencies = place / "dependencies"
    dependencies.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "neuralmd" not in entry.name and entry.suffix != ".pth":
            (dependencies / entry.name).symlink_to(entry)
    purelib = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=place).strip()
    (Path(purelib) / "dependencies.pth").write_text(f"{dependencies}\n")
    return python.parent


def test_the_command_line_and_the_package_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "reconstruct" in call(installed / "neuralmd", "--help", folder=tmp_path)
    where = call(installed / "python", "-c", "import neuralmd; print(neuralmd.__file__)", folder=tmp_path)
    assert where.startswith(str(installed.parent))


def test_the_configurations_are_those_of_the_repository(installed: Path, tmp_path: Path) -> None:
    listed = call(installed / "neuralmd", "configs", folder=tmp_path)
    assert all(name in listed for name in shipped())
    script = "import json; from neuralmd.config.shipped import *; print(json.dumps({n: text_of(n) for n in shipped()}))"
    texts = json.loads(call(installed / "python", "-c", script, folder=tmp_path))
    assert texts == {name: path.read_text() for name, path in shipped().items()}


def test_the_examples_and_the_viewer_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    script = """
import neuralmd as nmd
fine = nmd.rebuild(nmd.read(nmd.example("benzene")).slice(0, 41, 20), nmd.example("neural-ode"))
nmd.load(nmd.example("lstm")), nmd.view(fine).save("view.html")
print(fine, (nmd.example("comparison") / "comparison.json").is_file())
"""
    told = call(installed / "python", "-c", script, folder=tmp_path)
    assert told == "Trajectory(C6H6, 12 atoms, 41 frames, dt 0.5 fs, reconstructed velocities) True\n"
    assert (tmp_path / "view.html").stat().st_size > 10_000


def test_the_demonstration_ends_with_a_table_and_goes_on_where_it_was(installed: Path, tmp_path: Path) -> None:
    demo = (installed / "neuralmd", "demo", "--steps", "500", "--minutes", "0.02")
    assert "vs Hermite" in call(*demo, folder=tmp_path)
    results = json.loads((tmp_path / "runs/demo/evaluation.json").read_text())
    assert "neural_ode" in results["methods"]
    assert (tmp_path / "runs/demo/evaluation-stride20/paths.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "data/demo-fine.h5").stat().st_size > 0
    before = (tmp_path / "runs/demo/model.pt").stat().st_mtime_ns
    (tmp_path / "data/demo-fine.h5").unlink()
    again = call(*demo, folder=tmp_path)
    assert "$ neuralmd simulate" not in again
    assert "$ neuralmd train" not in again
    assert (tmp_path / "runs/demo/model.pt").stat().st_mtime_ns == before
    assert (tmp_path / "data/demo-fine.h5").exists()
