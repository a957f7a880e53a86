"""Plain networks on the coordinates of all atoms at once, and the numbers of order one that they read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.fields.constant import Constant
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Positions, System, Velocities


@dataclass(frozen=True)
class DenseSettings:
    """The size of a network.

    Attributes:
        width: Hidden units of each layer.
        depth: Number of hidden layers.
    """

    width: int = 256
    depth: int = 3


DENSE: Final = DenseSettings()
"""The size that a field has if nobody says otherwise."""


class DenseNetwork(nn.Module):
    """A multi-layer perceptron with SiLU between its layers, and so with derivatives of any order.

    The last layer adds no constant: to an energy it would mean nothing, and an acceleration is zero on average.

    Args:
        inputs: Numbers that come in.
        settings: Its size.
        outputs: Numbers that go out.
    """

    def __init__(self, inputs: int, settings: DenseSettings, outputs: int) -> None:
        super().__init__()
        sizes = [inputs] + [settings.width] * settings.depth
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.last = nn.Linear(sizes[-1], outputs, bias=False)

    def forward(self, numbers: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        """The outputs."""
        for layer in self.hidden:
            numbers = nn.functional.silu(layer(numbers))
        return self.last(numbers)


class Standardise(nn.Module):
    """Positions and velocities in numbers of order one, for networks that know nothing of space.

    u_i = (x_i - x_com - x_i^mean) / s_x,  w_i = v_i / s_v

    with the mean structure and the scales of the training part (see `calibrate`). A rotation of the molecule changes
    the numbers; a translation does not.

    Attributes:
        structure: x^mean, relative to the centre of mass [A].
        displacement: s_x of each atom [A].
        speed: s_v of each atom [A/fs].
    """

    structure: Tensor
    displacement: Tensor
    speed: Tensor

    def __init__(self, system: System) -> None:
        super().__init__()
        self._mass_share = Constant(torch.as_tensor(system.masses / system.masses.sum())[:, None])
        self.register_buffer("structure", torch.zeros(system.atoms, 3))
        self.register_buffer("displacement", torch.ones(system.atoms))
        self.register_buffer("speed", torch.ones(system.atoms))

    def calibrate(self, statistics: MotionStatistics) -> None:
        """Take mean structure and scales from the training part."""
        self.structure.copy_(statistics.structure)
        self.displacement.copy_(statistics.displacement)
        self.speed.copy_(statistics.speed)

    def positions(self, positions: Positions) -> Float[Tensor, "batch coordinates"]:
        """u, flattened."""
        centre = (self._mass_share.like(positions) * positions).sum(dim=1, keepdim=True)
        return ((positions - centre - self.structure) / self.displacement[:, None]).flatten(1)

    def velocities(self, velocities: Velocities) -> Float[Tensor, "batch coordinates"]:
        """w, flattened."""
        return (velocities / self.speed[:, None]).flatten(1)
