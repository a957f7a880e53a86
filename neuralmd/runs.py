"""Runs: the folders under runs/ that hold the configuration, checkpoints, metrics and figures of one training each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from neuralmd import build
from neuralmd.config import Experiment, dump, flatten
from neuralmd.config import load as read
from neuralmd.config.differences import differences, listed
from neuralmd.config.files import parse
from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import VelocitySource
from neuralmd.errors import CheckpointError, ConfigError, DataError
from neuralmd.fields.tabulated import tabulate
from neuralmd.system import System
from neuralmd.training.checkpoint import load, load_weights, unpack_system
from neuralmd.training.loop import LAST, MODEL, Progress
from neuralmd.training.processes import Processes
from neuralmd.training.tracking import SUMMARY_FILE, Observe, Tracker
from neuralmd.training.wandb_run import WandbSettings

CONFIG = "config.yaml"
"""The resolved configuration of a run."""

_REFIT = (
    "model.correction",
    "model.error_bars",
    "model.blend",
    "model.solver",
    "data.path",
    "data.stride",
    "run.",
    "device",
    "tracking.",
)
"""What the settings begin with that play no part in the training of a field by derivatives."""

Precision = Literal["single", "double"]
"""Of what a trained model computes."""

_PRECISIONS = {"single": torch.float32, "double": torch.float64}
_BUDGET = "training.max_"
_OF_NO_CONSEQUENCE = ("run.", "device", "tracking.")


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
        seen: What there was in its training data; none for a run of a version that did not record it.
    """

    folder: Path
    config: Experiment
    model: build.Trainable
    system: System
    timestep: float
    velocity_source: VelocitySource
    seen: Seen | None = None

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
    processes: Processes | None = None,
) -> Progress:
    """Train a model into the run's folder.

    The data are a file, which `data.path` names, and nothing in memory: whatever is done with the run later reads them
    again. `neuralmd.data.objects.write` makes a file of what is in memory.

    Args:
        config: The experiment.
        resume: Go on with the training that is in the folder; the budget may have grown.
        overwrite: Replace a run of the same name.
        advance: Called with the thousandths of the budget that are spent.
        observe: Called with the step and the metrics of every line that is logged; it may raise `Stop`.
        processes: Who trains; by default this process. The first of several writes the run.

    Raises:
        Stop: If the observer raises it; the run can be resumed.
        ConfigError: If the folder has a run and neither `resume` nor `overwrite` is given, or if a run to be resumed
            was started with other settings.
        NeuralMDError: If the data, the solver or a checkpoint fails.
    """
    folder, tracking = config.run.folder, config.tracking
    processes = processes or Processes.alone(build.device(config.device))
    with processes.together():
        if processes.is_first:
            _require_place(config, resume=resume, overwrite=overwrite)
        loop = build.loop(config, folder, processes)
    if resume:
        loop.resume()
    with processes.together():
        tracker = _begin(config, loop.at.step if resume else None, observe) if processes.is_first else None
    if tracker is None:
        return loop.fit(None)
    with tracker:
        reached = loop.fit(tracker, advance)
        tracker.summarise(
            {"validation/best_mae_A": reached.error, "train/steps": reached.step, "train/minutes": reached.seconds / 60}
        )
        if tracking.model_artifact:
            tracker.keep_model(folder / MODEL, config.run.name)
    return reached


def _require_place(config: Experiment, *, resume: bool, overwrite: bool) -> None:
    """Raise unless the run's folder is free for what is to be done."""
    folder = config.run.folder
    if resume:
        _require_same_experiment(config, folder)
    elif folder.exists() and any(folder.iterdir()) and not overwrite:
        raise ConfigError(f"{folder}: a run is there already; --resume goes on with it, --overwrite starts anew")


def _begin(config: Experiment, resume_step: int | None, observe: Observe | None) -> Tracker:
    """Make the run's folder, in the place of another one unless it is resumed, and begin to write into it."""
    folder, tracking = config.run.folder, config.tracking
    if resume_step is None and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(dump(config), encoding="utf-8")
    wandb = WandbSettings(
        tracking.wandb, tracking.project, tracking.entity, tracking.group, tracking.tags, config.run.name
    )
    return Tracker(folder, flatten(config), wandb, resume_step=resume_step, observe=observe)


def refit(run: Path | str, overrides: Sequence[str], *, overwrite: bool = False) -> tuple[Experiment, Progress]:
    """Fit the correction and the error bars of a trained run again, with other settings, into a run of its own.

    The field keeps its weights, and the run the time that they took. What may differ: run, device, tracking, data.path
    and data.stride, and of the model correction, error_bars, blend and solver.

    Args:
        run: The trained run's folder.
        overrides: Texts `a.b=value` in place of its settings; one of them names the new run.
        overwrite: Replace a run of the new name.

    Returns:
        The new experiment, and its validation error.

    Raises:
        ConfigError: If another setting differs, or the new run has the old one's folder or that of another run.
        NeuralMDError: If the data, the solver or a checkpoint fails.
    """
    path = Path(run) / MODEL
    content = load(path)
    config = parse(str(content.get("config")), path, overrides)
    _require_same_field(parse(str(content.get("config")), path), config, path)
    if config.run.folder.resolve() == path.parent.resolve():
        raise ConfigError(f"{path.parent}: the correction is fitted into a run of its own: name it with run.name=NAME")
    _require_place(config, resume=False, overwrite=overwrite)
    trained = Progress(**content["progress"])  # pyright: ignore[reportCallIssue]
    fit = build.refit(config, config.run.folder, content["model"], trained)  # pyright: ignore[reportArgumentType]
    with _begin(config, None, None) as tracker:
        reached = fit.fit(tracker)
        tracker.summarise(
            {"validation/best_mae_A": reached.error, "train/steps": reached.step, "train/minutes": reached.seconds / 60}
        )
    return config, reached


def _require_same_field(trained: Experiment, wanted: Experiment, path: Path) -> None:
    """Everything that shaped the weights must be as it was."""
    if changed := differences(trained, wanted, _REFIT):
        free = ", ".join(one.rstrip(".") for one in _REFIT)
        raise ConfigError(
            f"{path}: only {free} can differ when the correction is fitted again, but {listed(changed)} came; train "
            "a run of its own with that"
        )


def is_trained(config: Experiment) -> bool:
    """Whether the training of the experiment's run has ended, with no smaller a budget.

    Nothing else is compared: see `require_alike`.
    """
    folder = config.run.folder
    if not ((folder / SUMMARY_FILE).is_file() and (folder / MODEL).is_file()):
        return False
    try:
        spent = read(folder / CONFIG).training
    except ConfigError:
        return False
    wanted = config.training
    budgets = ((spent.max_minutes, wanted.max_minutes), (spent.max_steps, wanted.max_steps))
    return all(had is None or (asked is not None and had >= asked) for had, asked in budgets)


def require_alike(config: Experiment, advice: str, *, any_budget: bool = False) -> None:
    """Refuse to take a training up, or for done, that is in the experiment's folder and was of another experiment.

    The model, the data, the training and the seed must be the same; the run, the device and the tracking may differ.

    Args:
        config: What is wanted.
        advice: What to do if it is another one, beside putting the settings back.
        any_budget: Whether the budget may differ, too.

    Raises:
        ConfigError: If it is another one.
    """
    path = config.run.folder / CONFIG
    if not path.is_file():
        return
    free = (*_OF_NO_CONSEQUENCE, *((_BUDGET,) if any_budget else ()))
    if changed := differences(read(path), config, free):
        raise ConfigError(
            f"{path.parent}: holds a training with other settings than are wanted now: {listed(changed)}; put them "
            f"back, {advice}"
        )


def experiment_of(folder: Path) -> Experiment:
    """The experiment that a trained run comes from.

    Raises:
        CheckpointError: If the folder holds no model.
    """
    path = folder / MODEL
    return parse(str(load(path).get("config")), path)


def load_run(folder: Path | str, device: str = "auto", precision: Precision = "single") -> TrainedRun:
    """The model of a run, ready to be used.

    Args:
        folder: The run's folder, or its model file.
        device: `auto`, `cpu` or `cuda`.
        precision: Of all that the model computes: `single`, as it was trained, or `double`. In single precision
            positions are rounded to some 1e-7 A.

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
    model = model.to(build.device(device), _PRECISIONS[precision]).eval().requires_grad_(requires_grad=False)
    tabulate(model)
    source = VelocitySource(str(content["velocity_source"]))
    return TrainedRun(path.parent, config, model, system, timestep, source, _seen(content.get("seen"), system, path))


def _seen(packed: object, system: System, path: Path) -> Seen | None:
    if packed is None:
        return None
    try:
        return Seen.unpack(packed, system)  # pyright: ignore[reportArgumentType]
    except DataError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _require_same_experiment(config: Experiment, folder: Path) -> None:
    """Everything but the budget, the device and the tracking must be as the run was started."""
    if not (folder / LAST).is_file():
        raise CheckpointError(f"{folder / LAST}: no checkpoint to resume from; start the run without --resume")
    if changed := differences(read(folder / CONFIG), config, (_BUDGET, "device", "tracking.")):
        raise ConfigError(f"{folder}: the run was started with other settings: {listed(changed)}; put them back")
