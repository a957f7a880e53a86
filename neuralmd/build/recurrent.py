"""From the configuration of a recurrent network to the network."""

from __future__ import annotations

from typing import assert_never

from neuralmd.config import RecurrentConfig
from neuralmd.data.windows import Frames, Part
from neuralmd.interpolators.blending import Blend
from neuralmd.interpolators.orientation import BodyFrame, LabFrame, Orientation
from neuralmd.interpolators.recurrent import BidirectionalRNN, ForwardRNN, Rollout
from neuralmd.interpolators.recurrent_cells import Architecture, Cell
from neuralmd.interpolators.whole_gap import WholeGapRNN
from neuralmd.system import System

Recurrent = ForwardRNN | BidirectionalRNN | WholeGapRNN
"""The recurrent interpolators."""


def recurrent(config: RecurrentConfig, blend: Blend, system: System, timestep: float) -> Recurrent:
    """The recurrent network that a configuration describes, with fresh weights.

    Args:
        config: Cell, size, direction, orientation.
        blend: lambda, for the bidirectional one.
        system: The molecule.
        timestep: The data's time step [fs].
    """
    architecture = Architecture(Cell(config.cell), config.width, config.depth)
    axes = _orientation(config)
    match config.direction:
        case "forward":
            return ForwardRNN(Rollout(system, timestep, architecture, axes), config.boundary_frames)
        case "bidirectional":
            return BidirectionalRNN(Rollout(system, timestep, architecture, axes), blend, config.boundary_frames)
        case "whole_gap":
            return WholeGapRNN(system, timestep, architecture, axes, config.boundary_frames)
        case _:
            assert_never(config.direction)


def fit_normalisation(model: Recurrent, frames: Frames, part: Part, stride: int) -> None:
    """Take the units of a recurrent network from the training part.

    Raises:
        DataError: If an atom never moves there, or the molecule has no axes of its own.
    """
    match model:
        case ForwardRNN() | BidirectionalRNN():
            model.fit_normalisation(frames, part)
        case WholeGapRNN():
            model.fit_normalisation(frames, part, stride)
        case _:
            assert_never(model)


def _orientation(config: RecurrentConfig) -> Orientation:
    match config.orientation:
        case "lab":
            return LabFrame()
        case "body":
            return BodyFrame()
        case _:
            assert_never(config.orientation)
