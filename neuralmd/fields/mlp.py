"""`MLPField`: a plain network from the coordinates of all atoms to their accelerations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from neuralmd.fields.base import Field
from neuralmd.fields.dense import DENSE, DenseNetwork, DenseSettings, Standardise
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Accelerations, PhaseState, System


class MLPField(Field):
    """A multi-layer perceptron, as in the work of 2020: not equivariant, and blind to which atoms are alike.

    a = s_a MLP(u, w),  u_i = (x_i - x_com - x_i^mean) / s_x,  w_i = v_i / s_v

    Attributes:
        scale: s_a, the typical acceleration of each atom [A/fs^2]; 1 before a calibration.

    Args:
        system: The molecule.
        settings: The size of the network.
        inputs: `phase_space` for f(x, v); `positions` for f(x), which is time-reversible.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020).
    """

    scale: Tensor

    def __init__(
        self,
        system: System,
        settings: DenseSettings = DENSE,
        inputs: Literal["phase_space", "positions"] = "phase_space",
    ) -> None:
        super().__init__()
        self.depends_on_velocity = inputs == "phase_space"
        coordinates = 3 * system.atoms
        self.standardise = Standardise(system)
        self.network = DenseNetwork(coordinates * (1 + self.depends_on_velocity), settings, coordinates)
        self.register_buffer("scale", torch.ones(system.atoms))

    @override
    def calibrate(self, statistics: MotionStatistics) -> None:
        self.standardise.calibrate(statistics)
        self.scale.copy_(statistics.acceleration)

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        numbers = self.standardise.positions(state.positions)
        if self.depends_on_velocity:
            numbers = torch.cat((numbers, self.standardise.velocities(state.velocities)), dim=-1)
        return self.network(numbers).reshape(state.positions.shape) * self.scale[:, None]
