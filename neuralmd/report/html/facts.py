"""What was done, in words and numbers: data, model, training, versions, and the commands that do it again."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch

from neuralmd.build.dataset import declared
from neuralmd.config import Experiment
from neuralmd.config.model import NeuralODEConfig
from neuralmd.data.formats import open_reader
from neuralmd.evaluation.evaluate import Evaluation
from neuralmd.report.html.parts import Fact
from neuralmd.report.html.stretches import RebuiltFile
from neuralmd.report.html.words import length
from neuralmd.runs import CONFIG, TrainedRun
from neuralmd.training.provenance import code_state
from neuralmd.training.tracking import SUMMARY_FILE

_SIMULATION: Final = {"molecule": "", "method": "", "ensemble": "", "temperature": " K", "engine": ""}
"""What a file may say of the simulation that made it, and its unit."""

_STAGES: Final = {"derivative": "derivative matching", "trajectory": "trajectories through the solver"}

_LONG: Final = 200


def facts(run: TrainedRun, stride: int, result: Evaluation | None, rebuilt: RebuiltFile | None) -> list[Fact]:
    """What was done, in the order in which it was.

    Raises:
        DataError: If the rebuilt file cannot be read.
    """
    config, system = run.config, run.system
    found = [
        Fact("Molecule", f"{system.formula}, {system.atoms} atoms"),
        *_of_data(run),
        Fact(
            "Gap", f"{stride} frames, {stride * run.timestep:.4g} fs: {stride - 1} hidden frames between two known ones"
        ),
        Fact("Model", _model(run)),
        Fact("Training", _training(run.folder, config)),
    ]
    if result is not None:
        found.append(
            Fact(
                "Tested on",
                f"{result.source}: {result.windows} gaps, {result.velocity_source} velocities at known frames",
            )
        )
    if rebuilt is not None:
        found.append(Fact("Rebuilt trajectory", _rebuilt(rebuilt)))
    return [*found, Fact("Versions", _versions())]


def commands(
    run: TrainedRun, stride: int, rebuilt: RebuiltFile | None, output: Path, data: Path | None = None
) -> list[str]:
    """The commands that do it again; a file that this page does not know stands in capitals.

    Raises:
        DataError: If the rebuilt file cannot be read.
    """
    folder, strided = str(run.folder), ["--stride", f"{stride}"]
    tested = [] if data is None else ["--data", str(data)]
    done = [["train", str(run.folder / CONFIG)], ["evaluate", folder, *strided, *tested]]
    options = strided
    if rebuilt is not None:
        told = rebuilt.metadata()
        coarse = told.get("reconstructed_from", "COARSE_FILE")
        limits = {"--max-error": told.get("max_error_A"), "--fallback": told.get("fallback")}
        limited = [word for name, value in limits.items() if value not in {None, "none"} for word in (name, str(value))]
        done.append(["reconstruct", coarse, str(rebuilt.path), "--run", folder, *strided, *limited])
        options = ["--trajectory", str(rebuilt.path)]
        if rebuilt.truth is not None:
            options += ["--truth", str(rebuilt.truth)]
        if rebuilt.stride is not None:
            options += strided
    done.append(["report", folder, *options, *tested, "--output", str(output)])
    return [f"neuralmd {shlex.join(words)}" for words in done]


def _rebuilt(rebuilt: RebuiltFile) -> str:
    told = rebuilt.metadata()
    says = {
        "reconstructed_from": "from {}",
        "method": "by {}",
        "run": "of the run {}",
        "anchor_velocities": "{} velocities at known frames",
    }
    parts = [form.format(told[key]) for key, form in says.items() if key in told]
    return ", ".join([str(rebuilt.path), *parts])[:_LONG]


def _of_data(run: TrainedRun) -> list[Fact]:
    data = run.config.data
    if not data.path.is_file():
        return [Fact("Trained on", f"{data.path}, which is not there any more; {run.velocity_source} velocities")]
    with open_reader(data.path, declared=declared(data)) as reader:
        told, frames = reader.metadata, reader.frames
    test = 1.0 - data.train_fraction - data.validation_fraction
    return [
        Fact(
            "Trained on",
            f"{data.path}: {frames} frames {run.timestep:.4g} fs apart, {run.velocity_source} velocities{_told(told)}",
        ),
        *([Fact("And on", ", ".join(map(str, data.also)))] if data.also else []),
        Fact(
            "Parts, in time",
            f"training {data.train_fraction:.0%}, validation {data.validation_fraction:.0%}, test {test:.0%}, "
            f"{data.purge} frames apart",
        ),
    ]


def _told(metadata: Mapping[str, str]) -> str:
    """What a file says of the simulation that made it."""
    said = [f"{metadata[key]}{unit}" for key, unit in _SIMULATION.items() if key in metadata]
    return f"; {', '.join(said)}"[:_LONG] if said else ""


def _model(run: TrainedRun) -> str:
    """The kind of the model, its size, and the settings that decide what it can do."""
    model, weights = run.config.model, sum(parameter.numel() for parameter in run.model.parameters())
    if not isinstance(model, NeuralODEConfig):
        return f"{model.cell.upper()}, {model.direction.replace('_', ' ')}, {weights} weights"
    field = model.field.kind.replace("_", " ")
    told = [
        f"bidirectional neural ODE; {field} field of {weights} weights",
        f"solver {model.solver.kind.replace('_', ' ')}",
        f"{model.blend.kind} blend",
    ]
    if model.correction is not None:
        told.append("mismatch correction")
    if model.error_bars is not None:
        told.append(f"error bars of {model.error_bars.level:.0%}")
    return ", ".join(told)


def _training(folder: Path, config: Experiment) -> str:
    """What it was trained for, by what budget, and how well it validated."""
    training, told = config.training, []
    if training.max_minutes is not None:
        told.append(f"{training.max_minutes:g} min of {'processor' if training.clock == 'cpu' else 'wall-clock'} time")
    if training.max_steps is not None:
        told.append(f"{training.max_steps} steps")
    kinds = ", then ".join(_STAGES[stage.kind] for stage in training.stages)
    return f"{kinds}; budget {' or '.join(told)}, seed {config.seed}{_reached(folder / SUMMARY_FILE)}"


def _reached(path: Path) -> str:
    """What the run's summary says; nothing where the training has not ended."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        steps, best = int(summary["train/steps"]), float(summary["validation/best_mae_A"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"; reached {steps} steps and a validation error of {length(best)}"


def _versions() -> str:
    state = code_state()
    changed = ", modified" if state.get("code.modified") else ""
    commit = f" ({str(state['code.commit'])[:10]}{changed})" if "code.commit" in state else ""
    return (
        f"neuralmd {state['code.version']}{commit}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}; those that made this page"
    )
