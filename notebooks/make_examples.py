"""Puts the trajectory and the models that the notebooks need into neuralmd/examples; `make notebook-model` calls it."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from neuralmd.build.dataset import dataset
from neuralmd.examples import example
from neuralmd.runs import experiment_of
from neuralmd.training.checkpoint import load, save
from neuralmd.training.loop import MODEL
from neuralmd.training.tracking import METRICS_FILE

FRAMES = 2000
CURVES = "learning-curves.csv"
NUMBERS = ("comparison.json", "comparison.csv", "comparison.md")


def main() -> None:
    """Read the command line and write all examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the simulation that the runs were trained on")
    parser.add_argument("--neural-ode", type=Path, required=True, help="folder of a run")
    parser.add_argument("--lstm", type=Path, required=True, help="folder of a run")
    parser.add_argument("--comparison", type=Path, required=True, help="folder that `neuralmd compare` wrote")
    parser.add_argument("--sweep", type=Path, help="folder of a sweep, with its report; without, the one there stays")
    given = parser.parse_args()
    write_frames(given.data, given.neural_ode, example("benzene"))
    shutil.copy(given.neural_ode / MODEL, example("neural-ode"))
    write_half(given.lstm / MODEL, example("lstm"))
    write_comparison(given.comparison, {"neural ODE": given.neural_ode, "LSTM": given.lstm}, example("comparison"))
    if given.sweep is not None:
        write_sweep(given.sweep, example("sweep"))
    for path in sorted(example("benzene").parent.rglob("*.*")):
        if path.suffix != ".py" and path.is_file():
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def write_frames(data: Path, run: Path, output: Path) -> None:
    """The first frames of the test part, in single precision: half the bytes, and exact to 1e-7 A."""
    settings = experiment_of(run).data.model_copy(update={"path": data})
    whole = dataset(settings, torch.device("cpu"))
    (test,) = whole.split.test.ranges
    rows = slice(test.start, test.start + FRAMES)
    made = "GFN2-xTB, 500 K, stochastic velocity rescaling: neuralmd simulate benzene data/benzene.h5 --steps 20000"
    meta = {"made_by": made, "frames": f"{rows.start}..{rows.stop - 1}"}
    np.savez_compressed(
        output,
        z=whole.frames.system.atomic_numbers,
        R=whole.frames.positions[rows].numpy().astype(np.float32),
        V=whole.frames.velocities[rows].numpy().astype(np.float32),
        masses=whole.frames.system.masses,
        dt_fs=np.array(whole.frames.timestep),
        velocity_source=np.array(str(whole.velocity_source)),
        meta=np.array(json.dumps(meta)),
    )


def write_half(model: Path, output: Path) -> None:
    """A model with its weights in half precision; loading makes them single again."""
    content = load(model)
    weights = content["model"]
    rounded = {name: each.half() if each.dtype == torch.float32 else each for name, each in weights.items()}
    save({**content, "model": rounded}, output)


def write_comparison(folder: Path, runs: dict[str, Path], output: Path) -> None:
    """The numbers of a comparison, and the validation errors along the trainings."""
    output.mkdir(parents=True, exist_ok=True)
    for name in NUMBERS:
        shutil.copy(folder / name, output / name)
    write_curves(runs, output / CURVES)


def write_sweep(folder: Path, output: Path) -> None:
    """The ranking of a sweep, and the validation errors along its trials."""
    output.mkdir(parents=True, exist_ok=True)
    ranking = json.loads((folder / "report" / "ranking.json").read_text(encoding="utf-8"))
    for trial in ranking["ranked"]:
        del trial["worker"]
    (output / "ranking.json").write_text(json.dumps(ranking, indent=1) + "\n", encoding="utf-8")
    write_curves({one["name"]: folder / one["name"] for one in ranking["ranked"]}, output / CURVES)


def write_curves(runs: dict[str, Path], output: Path) -> None:
    """The validation errors along trainings."""
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "step", "minutes", "validation_mae_A"])
        for label, run in runs.items():
            writer.writerows([label, *row] for row in learning_curve(run / METRICS_FILE))


def learning_curve(metrics: Path) -> list[tuple[int, float, float]]:
    """Step, minutes and validation error of every validation; minutes are those of the last line that tells them."""
    rows, minutes = [], 0.0
    for line in metrics.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        minutes = told.get("train/minutes", minutes)
        error = told.get("validation/mae_A", told.get("validation/mae"))
        if error is not None:
            rows.append((told["step"], round(minutes, 3), float(f"{error:.4g}")))
    return rows


if __name__ == "__main__":
    main()
