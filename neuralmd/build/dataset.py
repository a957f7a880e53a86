"""From the configuration of the data to a trajectory, its velocities and its parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from neuralmd.config import Data
from neuralmd.data.declared import AS_IT_IS, Declared, LengthUnit, VelocityUnit
from neuralmd.data.formats import open_reader, read
from neuralmd.data.inspection import check_units, require_trajectory
from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import (
    Trajectory,
    VelocitySource,
    concatenate,
    with_central_velocities,
    with_seven_point_velocities,
)
from neuralmd.data.windows import Frames, Part, Split, split
from neuralmd.errors import ConfigError, DataError

_SAME_STEP = 1e-6
"""Part of a time step by which those of two files may differ, as rounding makes them."""


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


def declared(config: Data) -> Declared:
    """What a configuration says about its file."""
    return Declared(
        timestep=config.timestep,
        topology=config.topology,
        length_unit=None if config.length_unit is None else LengthUnit(config.length_unit),
        velocity_unit=None if config.velocity_unit is None else VelocityUnit(config.velocity_unit),
        drop_cell=config.drop_cell,
    )


def notes(config: Data) -> tuple[str, ...]:
    """What is assumed of the file of a configuration, and what is suspicious about its units, a sentence each.

    Raises:
        DataError: If it cannot be read.
    """
    with open_reader(config.path, declared=declared(config)) as reader:
        return (*reader.notes, *check_units(reader))


def trajectory(config: Data, path: Path | None = None, said: Declared = AS_IT_IS) -> Trajectory:
    """The frames of a file, of the chosen segments, with velocities as declared.

    Args:
        config: How to read.
        path: Another file than the configuration names; all of its segments are taken, and none of `config.also`.
        said: What there is to say of that other file. The configuration tells the rest; its units, which are those of
            a format, only for a file of the same suffix.

    Raises:
        DataError: If the file is not a trajectory, or lacks the velocities that are asked for.
    """
    if path is not None:
        how = said.over(_for_another_file(config, path))
        return usable(config, read(path, declared=how), str(path))
    whole = read(config.path, declared=declared(config))
    own = usable(config, whole if config.segments is None else whole.select(config.segments), str(config.path))
    return _joined(config, own) if config.also else own


def _joined(config: Data, own: Trajectory) -> Trajectory:
    """The frames of `config.path`, and after them those of `config.also`."""
    parts = [own]
    for path in config.also:
        more = trajectory(config, path)
        _require_fits(own, config.path, more, path)
        parts.append(replace(more, segments=tuple(replace(one, timestep=own.timestep) for one in more.segments)))
    return concatenate(parts)


def _require_fits(own: Trajectory, first: Path, more: Trajectory, second: Path) -> None:
    """Raise DataError unless two files can be learned together."""
    mine, other = own.system, more.system
    if not mine.same_atoms(other):
        raise DataError(
            f"{second}: holds {other.formula} ({other.atoms} atoms), but {first} holds {mine.formula} ({mine.atoms} "
            "atoms): the files of data.also should be of the same atoms in the same order"
        )
    if not mine.same_cell(other):
        raise DataError(f"{second}: has another periodic cell than {first}, but a field knows one only")
    if abs(more.timestep - own.timestep) > _SAME_STEP * own.timestep:
        raise DataError(
            f"{second}: has a frame every {more.timestep:g} fs, but {first} every {own.timestep:g} fs: the files of "
            "data.also should have the same time step"
        )
    if more.velocity_source != own.velocity_source:
        raise DataError(
            f"{second}: has {more.velocity_source} velocities, but {first} has {own.velocity_source} ones: take "
            "data.velocities=central for both"
        )


def usable(config: Data, whole: Trajectory, source: str) -> Trajectory:
    """Frames that are somewhere already, with velocities as a configuration declares them.

    Args:
        config: What it declares.
        whole: The frames.
        source: What messages call them.

    Raises:
        DataError: If they are no trajectory, or lack the velocities that are asked for.
    """
    require_trajectory(whole)
    stored = whole.velocities is not None
    if config.velocities == "stored" and not stored:
        raise DataError(
            f"{source}: holds no velocities, but data.velocities=stored asks for them; data.velocities=central derives "
            "them by central differences, and the methods linear and cubic_spline need none"
        )
    if config.velocities == "seven_point":
        return with_seven_point_velocities(whole)
    if config.velocities == "central" or not stored:
        return with_central_velocities(whole)
    return whole


def _for_another_file(config: Data, path: Path) -> Declared:
    """What a configuration says about its own file, as far as it holds for another one."""
    own = declared(config)
    return own if path.suffix == config.path.suffix else replace(own, length_unit=None, velocity_unit=None)


def dataset(config: Data, on: torch.device) -> Dataset:
    """The trajectory of a configuration, split in time.

    Raises:
        DataError: If it cannot be read, split, or cut into windows of the stride.
    """
    whole = trajectory(config)
    frames = Frames.of(whole, on)
    parts = split(whole.segments, config.train_fraction, config.validation_fraction, config.purge)
    if config.train_frames is not None:
        parts = replace(parts, train=parts.train.first(config.train_frames))
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


def seen(data: Dataset) -> Seen:
    """What there is in the training part, so that a model can say later what it has not seen."""
    return Seen.of(data.frames.system, *_motion(data, data.split.train)).widened(*_motion(data, data.split.validation))


def _motion(data: Dataset, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Positions [A] and velocities [A/fs] of a part."""
    index = torch.cat([torch.arange(stretch.start, stretch.stop) for stretch in part.ranges])
    chosen = index.to(data.frames.positions.device)
    return data.frames.positions[chosen].cpu().numpy(), data.frames.velocities[chosen].cpu().numpy()


def everything(whole: Trajectory) -> Part:
    """All frames of a trajectory as one part."""
    return Part(tuple(range(segment.start, segment.stop) for segment in whole.segments))
