"""`VelocityDependentField`: a general equivariant f(x, v), without time reversal."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.fields.base import Field
from neuralmd.fields.constant import Constant
from neuralmd.fields.network import (
    MESSAGES,
    Degrees,
    EquivariantNetwork,
    MessageSettings,
    NetworkSettings,
    SpeciesEmbedding,
)
from neuralmd.fields.readout import AccelerationReadout
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Accelerations, PhaseState, System


class VelocityDependentField(Field):
    """An e3nn field that reads velocities too: any equivariant acceleration f(x, v).

    a_i = s_i W h_i^(1o) less the net force,  h = network(x; u_z + |w_i|^2 q_z, w_i p_z),  w_i = (v_i - v_com) / s_v

    The network is that of `EquivariantField`; beside the scalars of its element z, every atom starts from its velocity
    as a vector and from the square of it. Friction and other forces that depend on velocities can be learned; the
    backward solution is no mirror image of the forward one. Invariant to a common velocity of all atoms.

    Attributes:
        speed: s_v, the typical velocity of each atom [A/fs]; 1 before a calibration.

    Args:
        system: The atoms, and their cell if it is periodic.
        channels: Features of each degree.
        l_max: Highest degree of features and harmonics.
        layers: Number of interactions.
        cutoff: Where messages fade to nothing [A].
        messages: What atoms tell each other.
        zero_net_force: Whether the centre of mass is left alone.

    Raises:
        DataError: If the system is periodic and its cell has no volume.
    """

    depends_on_velocity = True
    speed: Tensor

    def __init__(
        self,
        system: System,
        channels: int = 24,
        l_max: int = 2,
        layers: int = 2,
        cutoff: float = 6.0,
        messages: MessageSettings = MESSAGES,
        *,
        zero_net_force: bool = True,
    ) -> None:
        super().__init__()
        settings = NetworkSettings(channels, l_max, layers, cutoff, messages)
        self.embedding = SpeciesEmbedding(system, channels)
        self.squares = SpeciesEmbedding(system, channels)
        self.vectors = SpeciesEmbedding(system, channels)
        # A squared velocity has a mean of 3 in these units, and should not drown the element at the start.
        nn.init.normal_(self.squares.table, std=0.1)
        self.readout = AccelerationReadout(system, channels, zero_net_force=zero_net_force)
        self.network = EquivariantNetwork(system, settings, Degrees(inputs=1, outputs=1))
        self.register_buffer("speed", torch.ones(system.atoms))
        self._mass_share = Constant(torch.as_tensor(system.masses / system.masses.sum())[:, None])

    @override
    def calibrate(self, statistics: MotionStatistics) -> None:
        self.readout.scale.copy_(statistics.acceleration)
        self.speed.copy_(statistics.speed)

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        batch, velocities = len(state.positions), state.velocities
        drift = (self._mass_share.like(velocities) * velocities).sum(dim=1, keepdim=True)
        relative = ((velocities - drift) / self.speed[:, None]).transpose(1, 2)[..., None]
        squares = relative.square().sum(dim=1, keepdim=True)
        inputs = [self.embedding(batch) + squares * self.squares(batch), relative * self.vectors(batch)]
        return self.readout(self.network(state.positions, inputs)[1])
