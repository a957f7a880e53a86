"""Errors of a field's forces, where the file tells the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from neuralmd.data.windows import Frames
from neuralmd.errors import DataError
from neuralmd.fields.base import Field
from neuralmd.system import PhaseState
from neuralmd.units import KINETIC_ENERGY


@dataclass(frozen=True)
class ForceErrors:
    """How far m_i a_theta is from F_i, over frames, atoms and components.

    Attributes:
        mae: Mean of the absolute differences [eV/A].
        rmse: Root of the mean of their squares [eV/A].
    """

    mae: float
    rmse: float


@torch.no_grad()
def force_errors(field: Field, frames: Frames, chosen: Int[Tensor, " frames"]) -> ForceErrors:
    """Compare the field with the forces of some frames.

    A field that depends on the velocity, as one with friction does, is taken as it is: a part of it that is no force
    counts as error.

    Args:
        field: Gives dv/dt [A/fs^2].
        frames: The trajectory, with forces.
        chosen: Which of its frames.

    Raises:
        DataError: If the frames have no forces.
    """
    if frames.accelerations is None:
        raise DataError("the file holds no forces, with which those of a field could be compared")
    dtype = next((parameter.dtype for parameter in field.parameters()), torch.float64)
    state = PhaseState(frames.positions[chosen].to(dtype), frames.velocities[chosen].to(dtype))
    masses = torch.as_tensor(frames.system.masses, dtype=torch.float64, device=state.positions.device)[:, None]
    wrong = KINETIC_ENERGY * masses * (field(state).double() - frames.accelerations[chosen])
    return ForceErrors(float(wrong.abs().mean()), float(wrong.square().mean().sqrt()))
