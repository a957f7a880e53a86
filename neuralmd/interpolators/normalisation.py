"""What a network that is not equivariant reads: phase states from the molecule's centre, in units of order one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.data.windows import Frames, Part
from neuralmd.errors import DataError
from neuralmd.interpolators.orientation import Orientation, Rotations
from neuralmd.system import Curves, Positions, System

_SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class Axes:
    """Origin and axes in which one window is seen.

    Attributes:
        origin: The centre of mass [A].
        rotation: R; x_seen = (x - origin) R.
    """

    origin: Float[Tensor, "batch 1 3"]
    rotation: Rotations

    def back(self, seen: Curves) -> Curves:
        """Vectors in these axes as vectors in the laboratory's."""
        return seen @ self.rotation.mT


class Normalisation(nn.Module):
    """Phase states in units that are learned from the training part and saved with the weights.

    u = ((x - c) R - r) / d,  w = v R / s

    with c the centre of mass and R the orientation of the window's anchor, r the mean structure, d and s the RMS
    displacement from it and the RMS velocity of each atom; and the units of what is predicted for a step h, the RMS
    of x(t + h) - x(t) - h v(t) and of v(t + h) - v(t).

    Args:
        system: The molecule.
        orientation: What gives R.
    """

    masses: Tensor
    reference: Tensor
    displacement: Tensor
    speed: Tensor
    bend: Tensor
    kick: Tensor

    def __init__(self, system: System, orientation: Orientation) -> None:
        super().__init__()
        self.orientation = orientation
        self.register_buffer("masses", torch.as_tensor(system.masses, dtype=torch.get_default_dtype()))
        self.register_buffer("reference", torch.zeros(system.atoms, 3))
        for name in ("displacement", "speed", "bend", "kick"):
            self.register_buffer(name, torch.ones(system.atoms, 1))

    @torch.no_grad()
    def fit(self, frames: Frames, part: Part) -> None:
        """Take mean structure and units from the training part.

        Raises:
            DataError: If an atom never moves there, or the molecule has no axes of its own.
        """
        index = torch.cat([torch.arange(stretch.start, stretch.stop - 1) for stretch in part.ranges])
        index = index.to(frames.positions.device)
        x, v, h = frames.positions, frames.velocities, frames.timestep
        masses = torch.as_tensor(frames.system.masses, dtype=x.dtype, device=x.device)
        centred = x[index] - _centre(x[index], masses)
        reference = self.orientation.reference(centred, masses)
        away = centred @ self.orientation.rotations(centred, reference, masses) - reference
        self.reference.copy_(reference)
        self.displacement.copy_(_rms(away))
        self.speed.copy_(_rms(v[index]))
        self.bend.copy_(_rms(x[index + 1] - x[index] - h * v[index]))
        self.kick.copy_(_rms(v[index + 1] - v[index]))
        if not all(bool((unit > _SMALLEST).all()) for unit in (self.displacement, self.speed, self.bend, self.kick)):
            raise DataError("an atom never moves in the training part, so its motion cannot be learned")

    def axes(self, anchor: Positions) -> Axes:
        """Where the windows with these anchors are seen from."""
        origin = _centre(anchor, self.masses)
        return Axes(origin, self.orientation.rotations(anchor - origin, self.reference, self.masses))

    def positions(self, axes: Axes, positions: Curves) -> Curves:
        """Displacements u from the mean structure."""
        return ((positions - axes.origin) @ axes.rotation - self.reference) / self.displacement

    def velocities(self, axes: Axes, velocities: Curves) -> Curves:
        """Velocities w."""
        return velocities @ axes.rotation / self.speed


def _centre(positions: Positions, masses: Float[Tensor, " atoms"]) -> Float[Tensor, "batch 1 3"]:
    return (positions * masses[:, None]).sum(1, keepdim=True) / masses.sum()


def _rms(values: Float[Tensor, "frames atoms 3"]) -> Float[Tensor, "atoms 1"]:
    return values.square().mean((0, 2))[:, None].sqrt()
