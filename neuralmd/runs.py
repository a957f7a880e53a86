"""Runs: the folders under runs/ that hold the configuration, checkpoints, metrics and figures of one training each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuralmd import build
from neuralmd.config import Experiment, dump, flatten
from neuralmd.config.files import parse
from neuralmd.data.trajectory import VelocitySource
from neuralmd.errors import CheckpointError, ConfigError
from neuralmd.fields.tabulated import tabulate
from neuralmd.system import System
from neuralmd.training.checkpoint import load, load_weights, unpack_system
from neuralmd.training.loop import LAST, MODEL, Progress
from neuralmd.training.tracking import SUMMARY_FILE, Observe, Tracker
from neuralmd.training.wandb_run import WandbSettings

CONFIG = "config.yaml"
"""The resolved configuration of a run."""


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A training whose model can be used.

    Attributes:
        folder: Where it lives.
        config: Its configuration.
        model: The averaged weights that validated best, ready for evaluation.
        system: The molecule that it was trained on.
        timestep: The time step that it was trained on [fs].
        velocity_source: Where the velocities that it was trained on come from.
    """

    folder: Path
    config: Experiment
    model: build.Trainable
    system: System
    timestep: float
    velocity_source: VelocitySource

    def __repr__(self) -> str:
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        return (
            f"TrainedRun({self.folder}: {type(self.model).__name__} of {weights} weights for {self.system.formula}, "
            f"dt {self.timestep:.4g} fs, stride {self.config.data.stride}, {self.velocity_source} velocities)"
        )


def train(
    config: Experiment,
    *,
    resume: bool = False,
    overwrite: bool = False,
    advance: Callable[[int], None] | None = None,
    observe: Observe | None = None,
) -> Progress:
    """Train a model into the run's folder.

    Args:
        config: The experiment.
        resume: Go on with the training that is in the folder; the budget may have grown.
        overwrite: Replace a run of the same name.
        advance: Called with the thousandths of the budget that are spent.
        observe: Called with the step and the metrics of every line that is logged; it may raise `Stop`.

    Raises:
        Stop: If the observer raises it; the run can be resumed.
        ConfigError: If the folder has a run and neither `resume` nor `overwrite` is given, or if a run to be resumed
            was started with other settings.
        NeuralMDError: If the data, the solver or a checkpoint fails.
    """
    folder = config.run.folder
    if resume:
        _require_same_experiment(config, folder)
    elif folder.exists() and any(folder.iterdir()) and not overwrite:
        raise ConfigError(f"{folder}: a run is there already; --resume goes on with it, --overwrite starts anew")
    loop = build.loop(config, folder)
    if resume:
        loop.resume()
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(dump(config), encoding="utf-8")
    tracking = config.tracking
    wandb = WandbSettings(
        tracking.wandb, tracking.project, tracking.entity, tracking.group, tracking.tags, config.run.name
    )
    with Tracker(
        folder, flatten(config), wandb, resume_step=loop.at.step if resume else None, observe=observe
    ) as tracker:
        reached = loop.fit(tracker, advance)
        tracker.summarise(
            {"validation/best_mae_A": reached.best, "train/steps": reached.step, "train/minutes": reached.seconds / 60}
        )
        if tracking.model_artifact:
            tracker.keep_model(folder / MODEL, config.run.name)
    return reached


def is_trained(config: Experiment) -> bool:
    """Whether the experiment's run has been trained to its end."""
    return (config.run.folder / SUMMARY_FILE).is_file()


def experiment_of(folder: Path) -> Experiment:
    """The experiment that a trained run comes from.

    Raises:
        CheckpointError: If the folder holds no model.
    """
    path = folder / MODEL
    return parse(str(load(path).get("config")), path)


def load_run(folder: Path | str, device: str = "auto") -> TrainedRun:
    """The model of a run, ready to be used.

    Args:
        folder: The run's folder, or its model file.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        CheckpointError: If there is no whole model that this version can read.
    """
    place = Path(folder)
    path = place if place.is_file() else place / MODEL
    content = load(path)
    if not isinstance(content.get("config"), str) or not isinstance(content.get("timestep"), float):
        raise CheckpointError(f"{path}: does not hold a trained model with its configuration")
    config = parse(str(content["config"]), path)
    system = unpack_system(content.get("system"), path)
    timestep = float(content["timestep"])  # pyright: ignore[reportArgumentType]
    model = build.interpolator(config.model, system, timestep)
    load_weights(model, content.get("model"), path)
    model = model.to(build.device(device)).eval().requires_grad_(requires_grad=False)
    tabulate(model)
    source = VelocitySource(str(content["velocity_source"]))
    return TrainedRun(path.parent, config, model, system, timestep, source)


def _require_same_experiment(config: Experiment, folder: Path) -> None:
    """Everything but the budget, the device and the tracking must be as the run was started."""
    if not (folder / LAST).is_file():
        raise CheckpointError(f"{folder / LAST}: no checkpoint to resume from; start the run without --resume")
    started = flatten(parse((folder / CONFIG).read_text(encoding="utf-8"), folder / CONFIG))
    free = ("training.max_", "device", "tracking.")
    changed = [
        f"{key} ({started.get(key)} -> {value})"
        for key, value in flatten(config).items()
        if started.get(key) != value and not key.startswith(free)
    ]
    if changed:
        raise ConfigError(f"{folder}: the run was started with other settings: {', '.join(changed)}; put them back")
