"""From configuration to objects: the only place where a config becomes an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import torch
from lightning_fabric import Fabric
from torch import nn

from neuralmd.config import (
    AdjointConfig,
    BlendConfig,
    Data,
    DerivativeStage,
    Dopri5Config,
    EquivariantFieldConfig,
    Experiment,
    LinearBlendConfig,
    MidpointConfig,
    NeuralODEConfig,
    PowerBlendConfig,
    QuinticBlendConfig,
    RK4Config,
    SmoothstepBlendConfig,
    SolverConfig,
    StageConfig,
    TrajectoryStage,
    VelocityVerletConfig,
    dump,
)
from neuralmd.data.formats import read
from neuralmd.data.inspection import require_trajectory
from neuralmd.data.trajectory import Trajectory, VelocitySource, with_central_velocities
from neuralmd.data.windows import Frames, Part, Split, derivative_samples, split
from neuralmd.errors import ConfigError, DataError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.fields.equivariant import EquivariantField, RadialSettings
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import Blend, LinearBlend, PowerBlend, QuinticBlend, SmoothstepBlend
from neuralmd.ode.solvers import RK4, Adjoint, Dopri5, Midpoint, Solver, VelocityVerlet
from neuralmd.system import System
from neuralmd.training.checkpoint import pack_system
from neuralmd.training.loop import Loop, LoopSettings
from neuralmd.training.objectives import (
    DerivativeMatching,
    TrajectoryMatching,
    acceleration_scale,
    keep_all,
    project_out_velocity,
)
from neuralmd.training.schedule import Budget, Stage

_VALIDATION_WINDOWS = 64


@dataclass(frozen=True, eq=False)
class Dataset:
    """What an experiment learns from.

    Attributes:
        frames: All frames, on the device.
        split: Training, validation and test part.
        velocity_source: Where the velocities come from.
    """

    frames: Frames
    split: Split
    velocity_source: VelocitySource


def device(name: str) -> torch.device:
    """The device that a configuration asks for; `auto` is a GPU where there is one.

    Raises:
        ConfigError: If CUDA is asked for and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for, but no CUDA device is there; take device=cpu or device=auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def trajectory(config: Data, path: Path | None = None) -> Trajectory:
    """The frames of a file, of the chosen segments, with velocities as declared.

    Args:
        config: How to read.
        path: Another file than the configuration names; all of its segments are taken.

    Raises:
        DataError: If the file is not a trajectory, or lacks the velocities that are asked for.
    """
    source = config.path if path is None else path
    whole = read(source, timestep=config.timestep)
    require_trajectory(whole)
    if config.segments is not None and path is None:
        whole = whole.select(config.segments)
    stored = whole.velocities is not None
    if config.velocities == "stored" and not stored:
        raise DataError(
            f"{source}: holds no velocities, but data.velocities=stored asks for them; data.velocities=central derives "
            "them by central differences, and the methods linear and cubic_spline need none"
        )
    if config.velocities == "central" or not stored:
        return with_central_velocities(whole)
    return whole


def dataset(config: Data, on: torch.device) -> Dataset:
    """The trajectory of a configuration, split in time.

    Raises:
        DataError: If it cannot be read, split, or cut into windows of the stride.
    """
    whole = trajectory(config)
    frames = Frames.of(whole, on)
    parts = split(whole.segments, config.train_fraction, config.validation_fraction, config.purge)
    for name, part in (("training", parts.train), ("validation", parts.validation), ("test", parts.test)):
        if len(part.starts(config.stride)) == 0:
            longest = max(len(stretch) for stretch in part.ranges)
            raise DataError(
                f"{config.path}: the {name} part's longest stretch has {longest} frames, too few for one window of "
                f"stride {config.stride}; lower data.stride or data.purge, or give a longer trajectory"
            )
    if whole.velocity_source is None:
        raise DataError(f"{config.path}: does not say where its velocities come from")
    return Dataset(frames, parts, whole.velocity_source)


def everything(whole: Trajectory) -> Part:
    """All frames of a trajectory as one part."""
    return Part(tuple(range(segment.start, segment.stop) for segment in whole.segments))


def field(config: EquivariantFieldConfig, system: System) -> EquivariantField:
    """The field that a configuration describes, with fresh weights."""
    radial = RadialSettings(config.radial_basis, config.radial_width)
    return EquivariantField(
        system,
        config.channels,
        config.l_max,
        config.layers,
        config.cutoff,
        radial,
        zero_net_force=config.zero_net_force,
    )


def solver(config: SolverConfig, timestep: float) -> Solver:
    """The solver that a configuration describes; a step that it leaves open is the data's time step [fs]."""
    adjoint = None if config.adjoint is None else _adjoint(config.adjoint)
    match config:
        case VelocityVerletConfig():
            return VelocityVerlet(config.step or timestep, adjoint)
        case RK4Config():
            return RK4(config.step or timestep, adjoint)
        case MidpointConfig():
            return Midpoint(config.step or timestep, adjoint)
        case Dopri5Config():
            return Dopri5(config.rtol, config.atol, config.max_steps, adjoint)
        case _:
            assert_never(config)


def blend(config: BlendConfig) -> Blend:
    """The lambda that a configuration describes."""
    match config:
        case LinearBlendConfig():
            return LinearBlend()
        case SmoothstepBlendConfig():
            return SmoothstepBlend()
        case QuinticBlendConfig():
            return QuinticBlend()
        case PowerBlendConfig():
            return PowerBlend(config.exponent)
        case _:
            assert_never(config)


def interpolator(config: NeuralODEConfig, system: System, timestep: float) -> BidirectionalODE:
    """The model that a configuration describes, with fresh weights.

    Args:
        config: Field, solver, blend.
        system: The molecule.
        timestep: The data's time step [fs].
    """
    return BidirectionalODE(field(config.field, system), solver(config.solver, timestep), blend(config.blend))


def loop(config: Experiment, folder: Path) -> Loop:
    """The training that a configuration describes.

    Raises:
        ConfigError: If the device is absent.
        DataError: If the data cannot be used.
    """
    on = device(config.device)
    data = dataset(config.data, on)
    torch.manual_seed(config.seed)
    model = interpolator(config.model, data.frames.system, data.frames.timestep).to(on)
    samples = derivative_samples(data.frames, data.split.train)
    model.field.set_scale(acceleration_scale(samples, data.frames.system).to(torch.get_default_dtype()))
    training = config.training
    return Loop(
        model=model,
        stages=tuple(_stage(stage, model, data, config.data.stride) for stage in training.stages),
        budget=Budget(training.max_steps, training.max_minutes),
        settings=LoopSettings(
            ema_decay=training.ema_decay,
            gradient_clip=training.gradient_clip,
            validate_every=training.validate_every,
            checkpoint_every=training.checkpoint_every,
            patience=training.patience,
            seed=config.seed,
        ),
        validate=_Validation(data, config.data.stride),
        identity={
            "config": dump(config),
            "system": pack_system(data.frames.system),
            "timestep": data.frames.timestep,
            "velocity_source": str(data.velocity_source),
        },
        folder=folder,
        fabric=Fabric(accelerator="cuda" if on.type == "cuda" else "cpu", devices=1),
    )


@dataclass(frozen=True, eq=False)
class _Validation:
    """The hidden-frame error of a model on the validation part."""

    data: Dataset
    stride: int

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        starts = self.data.split.validation.starts(self.stride, self.stride)
        spread = starts[torch.linspace(0, len(starts) - 1, min(len(starts), _VALIDATION_WINDOWS)).long()]
        errors = hidden_frame_errors(model, self.data.frames, spread, self.stride)  # pyright: ignore[reportArgumentType]
        return {"validation/mae": errors.mae, "validation/rmse": errors.rmse}


def _adjoint(config: AdjointConfig) -> Adjoint:
    return Adjoint(config.method, config.step, config.rtol, config.atol, config.seminorm)


def _stage(config: StageConfig, model: BidirectionalODE, data: Dataset, stride: int) -> Stage:
    match config:
        case DerivativeStage():
            objective = DerivativeMatching(
                model.field,
                derivative_samples(data.frames, data.split.train),
                data.frames.system,
                project_out_velocity if config.projection == "thermostat" else keep_all,
                config.batch_size,
            )
        case TrajectoryStage():
            objective = TrajectoryMatching(
                model, data.frames, data.split.train, stride, config.batch_size, config.first_stride or stride
            )
        case _:
            assert_never(config)
    return Stage(objective.to(data.frames.positions.device), config.share, config.learning_rate, config.warmup)
