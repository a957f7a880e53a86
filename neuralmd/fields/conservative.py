"""`ConservativeField`: an E(3)-equivariant network that gives an energy, and accelerations as its gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.fields.base import Field
from neuralmd.fields.constant import Constant
from neuralmd.fields.gradients import gradients
from neuralmd.fields.network import (
    MESSAGES,
    Degrees,
    EquivariantNetwork,
    MessageSettings,
    NetworkSettings,
    SpeciesEmbedding,
)
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Accelerations, PhaseState, Positions, System
from neuralmd.units import ACCELERATION

_LENGTH = 1.0
"""The distance over which the output of a network with fresh weights changes by about one [A]."""


class ConservativeField(Field):
    """An energy-conserving e3nn field.

    m_i a_i = -dE/dx_i,  E(x) = e sum_i w . h_i^(0e)

    where h are the scalars of the same network as in `EquivariantField`, and e is a unit of energy (see `calibrate`).
    Energy, momentum and angular momentum of the exact flow are constant. An evaluation costs about two of
    `EquivariantField`, a training step, which differentiates the network twice, about three.

    Attributes:
        unit: e [eV]; 1 before a calibration.

    Args:
        system: The atoms, and their cell if it is periodic.
        channels: Features of each degree.
        l_max: Highest degree of features and harmonics.
        layers: Number of interactions.
        cutoff: Where messages fade to nothing [A].
        messages: What atoms tell each other.

    Raises:
        DataError: If the system is periodic and its cell has no volume.

    Reference:
        Batzner et al., E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials,
        Nat. Commun. 13, 2453 (2022).
    """

    unit: Tensor

    def __init__(
        self,
        system: System,
        channels: int = 24,
        l_max: int = 2,
        layers: int = 2,
        cutoff: float = 6.0,
        messages: MessageSettings = MESSAGES,
    ) -> None:
        super().__init__()
        settings = NetworkSettings(channels, l_max, layers, cutoff, messages)
        self.embedding = SpeciesEmbedding(system, channels)
        self.network = EquivariantNetwork(system, settings, Degrees(inputs=0, outputs=0))
        self.weights = nn.Parameter(torch.randn(channels) / channels**0.5)
        self.register_buffer("unit", torch.ones(()))
        self._masses = Constant(torch.as_tensor(system.masses)[:, None])

    @override
    def calibrate(self, statistics: MotionStatistics) -> None:
        """Take the training part's root mean square force times a length as the unit of energy, e."""
        acceleration = statistics.acceleration
        forces = self._masses.like(acceleration)[:, 0] * acceleration / ACCELERATION
        self.unit.copy_(_LENGTH * forces.square().mean().sqrt())

    def energy(self, positions: Positions) -> Float[Tensor, " batch"]:
        """E of each configuration, up to a constant [eV]."""
        scalars = self.network(positions, [self.embedding(len(positions))])[0]
        return self.unit * (scalars @ self.weights).sum((1, 2))

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        (slope,) = gradients(self.energy, (state.positions,), self)
        return slope * (-ACCELERATION / self._masses.like(slope))
