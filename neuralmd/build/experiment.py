"""From the configuration of an experiment to the training of its model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from neuralmd.build.dataset import Dataset, dataset, device, seen
from neuralmd.build.models import Trainable, interpolator
from neuralmd.build.recurrent import fit_normalisation
from neuralmd.build.validation import Validation
from neuralmd.config import (
    DerivativeStage,
    EquivariantCorrectionConfig,
    Experiment,
    NeuralODEConfig,
    StageConfig,
    TrajectoryStage,
    dump,
)
from neuralmd.data.derivatives import Difference, difference_samples, force_samples
from neuralmd.data.samples import DerivativeSamples
from neuralmd.data.windows import derivative_samples
from neuralmd.errors import ConfigError
from neuralmd.fields.base import Field
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.fields.tabulated import tabulate
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blend_fit import fit_blend
from neuralmd.interpolators.bridge_fit import fit_bridge
from neuralmd.interpolators.calibration import calibrate_error_bars, calibrate_inferred_error_bars, fit_correction
from neuralmd.interpolators.equivariant_fit import fit_equivariant_correction
from neuralmd.interpolators.learned_blend import LearnedBlend
from neuralmd.training.augmentation import randomly_rotated, unchanged
from neuralmd.training.checkpoint import load_weights, pack_system
from neuralmd.training.clipping import Clipping
from neuralmd.training.energies import EnergyMatching
from neuralmd.training.loop import Loop, LoopSettings, Progress
from neuralmd.training.objectives import (
    DerivativeMatching,
    DerivativeSettings,
    Objective,
    TrajectoryMatching,
    TrajectorySettings,
    keep_all,
    mean_norm,
    mean_square,
    project_out_velocity,
)
from neuralmd.training.processes import Processes
from neuralmd.training.schedule import Budget, Stage
from neuralmd.training.separately import Separately
from neuralmd.training.untrained import Untrained

_AUGMENTATIONS = {"none": unchanged, "rotations": randomly_rotated}
_CLOCKS = {"wall": time.monotonic, "cpu": time.process_time}
_LOSSES = {"mean_square": mean_square, "mean_norm": mean_norm}

_FIELD = "field."
"""What the names of the field's weights begin with."""


def loop(config: Experiment, folder: Path, processes: Processes | None = None) -> Loop | Untrained:
    """The training that a configuration describes; of a model without weights, what stands in its place.

    Args:
        config: The experiment.
        folder: Where the checkpoints go.
        processes: Who trains; by default this process.

    Raises:
        ConfigError: If the device is absent.
        DataError: If the data cannot be used.
    """
    made = _Made.of(config)
    model, data, validate, identity = made.model, made.data, made.validate, made.identity
    _fit_units(model, data, config.data.stride)
    if next(model.parameters(), None) is None:
        return Untrained(model, validate, identity, folder, _Polish.of(config, data))
    training = config.training
    polish = _Polish.of(config, data) if _Polish.has_work(model) else None
    return Loop(
        model=model,
        stages=tuple(_stage(stage, model, data, config.data.stride) for stage in training.stages),
        budget=Budget(
            training.max_steps,
            training.max_minutes,
            _CLOCKS[training.clock],
            training.polish_share if polish is not None else 0.0,
        ),
        settings=LoopSettings(
            ema_decay=training.ema_decay,
            clipping=Clipping(training.gradient_clip, training.spike_clip),
            beta2=training.beta2,
            validate_every=training.validate_every,
            checkpoint_every=training.checkpoint_every,
            patience=training.patience,
            seed=config.seed,
        ),
        validate=validate,
        identity=identity,
        folder=folder,
        processes=processes or Processes.alone(data.frames.positions.device),
        polish=polish,
    )


def refit(config: Experiment, folder: Path, weights: Mapping[str, Tensor], trained: Progress) -> Untrained:
    """The model of a configuration with weights that it already has: only what is fitted at the end is to be fitted.

    Args:
        config: The experiment; its model is a neural ODE.
        folder: Where the result goes.
        weights: Those of a model with the same field.
        trained: The training that they come from.

    Raises:
        ConfigError: If the device is absent.
        DataError: If the data cannot be used.
        CheckpointError: If the weights are those of another field.
    """
    made = _Made.of(config)
    if not isinstance(made.model, BidirectionalODE):
        raise ConfigError("only the correction and the error bars of a neural ODE are fitted when a training has ended")
    of_field = {name.removeprefix(_FIELD): value for name, value in weights.items() if name.startswith(_FIELD)}
    load_weights(made.model.field, of_field, folder)
    at = Progress(step=trained.step, seconds=trained.seconds)
    return Untrained(made.model, made.validate, made.identity, folder, _Polish.of(config, made.data), at)


@dataclass(frozen=True, eq=False)
class _Made:
    """What an experiment is about: its data, its model with fresh weights, and what is said of it in a checkpoint."""

    data: Dataset
    model: Trainable
    validate: Validation
    identity: Mapping[str, object]

    @staticmethod
    def of(config: Experiment) -> _Made:
        on = device(config.device)
        data = dataset(config.data, on)
        torch.manual_seed(config.seed)
        model = interpolator(config.model, data.frames.system, data.frames.timestep).to(on)
        identity = {
            "config": dump(config),
            "system": pack_system(data.frames.system),
            "timestep": data.frames.timestep,
            "velocity_source": str(data.velocity_source),
            "seen": seen(data).pack(),
        }
        return _Made(data, model, Validation(data, config.data.stride, model.boundary_frames - 1), identity)


@dataclass(frozen=True, eq=False)
class _Polish:
    """Fits what comes last: lambda, bridge and correction to the training part, error bars to the validation part.

    Attributes:
        data: The data.
        steps: Of the fit of an equivariant correction.
    """

    data: Dataset
    steps: int

    @staticmethod
    def of(config: Experiment, data: Dataset) -> _Polish:
        correction = config.model.correction if isinstance(config.model, NeuralODEConfig) else None
        return _Polish(data, correction.steps if isinstance(correction, EquivariantCorrectionConfig) else 0)

    @staticmethod
    def has_work(model: Trainable) -> bool:
        """Whether the model has something that is fitted at the end."""
        if not isinstance(model, BidirectionalODE):
            return False
        fitted = model.bridge, model.correction, model.error_bars
        return isinstance(model.blend, LearnedBlend) or any(one is not None for one in fitted)

    def __call__(self, model: nn.Module) -> None:
        if isinstance(model, BidirectionalODE):
            tabulate(model.eval())
            fit_blend(model, self.data.frames, self.data.split.train)
            fit_bridge(model, self.data.frames, self.data.split.train)
            fit_correction(model, self.data.frames, self.data.split.train)
            fit_equivariant_correction(model, self.data.frames, self.data.split.train, self.steps)
            calibrate_error_bars(model, self.data.frames, self.data.split.validation)
            calibrate_inferred_error_bars(model, self.data.frames, self.data.split.validation)


def _fit_units(model: Trainable, data: Dataset, stride: int) -> None:
    """Let a fresh model take its units of input and output from the training part."""
    if isinstance(model, BidirectionalODE):
        samples = derivative_samples(data.frames, data.split.train)
        model.field.calibrate(MotionStatistics.of(samples, data.frames.system))
    else:
        fit_normalisation(model, data.frames, data.split.train, stride)


def _samples(config: DerivativeStage, data: Dataset) -> DerivativeSamples:
    if config.target == "forces":
        return force_samples(data.frames, data.split.train)
    return difference_samples(data.frames, data.split.train, Difference(config.difference))


def _stage(config: StageConfig, model: Trainable, data: Dataset, stride: int) -> Stage:
    objective = _separately(model, lambda one: _objective(config, one, data, stride))
    return Stage(objective.to(data.frames.positions.device), config.share, config.learning_rate, config.warmup)


def _separately(model: Trainable, objective: Callable[[Trainable], Objective[Any]]) -> Objective[Any]:
    """The objective of a model; where its field is an ensemble, that of each member by itself."""
    if not isinstance(model, BidirectionalODE) or not isinstance(model.field, EnsembleField):
        return objective(model)
    alone = [BidirectionalODE(member, model.solver, model.blend) for member in model.field.members]
    return Separately([objective(one) for one in alone])


def _energies(field: Field, samples: DerivativeSamples, weight: float) -> EnergyMatching | None:
    if weight == 0:
        return None
    if not isinstance(field, ConservativeField):
        raise ConfigError("training.stages has an energy_weight, but the field has no energy: take kind conservative")
    return EnergyMatching(field, samples, weight)


def _objective(config: StageConfig, model: Trainable, data: Dataset, stride: int) -> Objective[Any]:
    match config:
        case DerivativeStage():
            if not isinstance(model, BidirectionalODE):
                raise ConfigError("a derivative stage fits a field, but a recurrent network has none")
            projected = config.projection == "thermostat" and config.target == "differences"
            samples = _samples(config, data)
            return DerivativeMatching(
                model.field,
                samples,
                data.frames.system,
                project_out_velocity if projected else keep_all,
                DerivativeSettings(config.batch_size, _LOSSES[config.loss], config.augmentation == "reversal"),
                energies=_energies(model.field, samples, config.energy_weight),
            )
        case TrajectoryStage():
            if config.augmentation == "rotations" and data.frames.system.pbc.any():
                raise ConfigError("augmentation rotations turns atoms but not their periodic cell: take none")
            augmentation = _AUGMENTATIONS[config.augmentation]
            settings = TrajectorySettings(config.batch_size, config.first_stride, config.velocity_weight, augmentation)
            return TrajectoryMatching(model, data.frames, data.split.train, stride, settings)
        case _:
            assert_never(config)
