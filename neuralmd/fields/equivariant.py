"""`EquivariantField`: an E(3)-equivariant message-passing network that gives accelerations."""

from __future__ import annotations

from typing_extensions import override

from neuralmd.fields.base import Field
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


class EquivariantField(Field):
    """An e3nn field: equivariant to rotations, reflections, translations and the exchange of like atoms.

    a_i = s_i o_i - sum_j m_j s_j o_j / sum_j m_j,  o_i = W h_i^(1o)

    where h are features of degree 0 .. l_max after `layers` tensor-product interactions over all pairs within the
    cutoff, and s_i is the typical acceleration of atom i (see `calibrate`). The second term takes the net force off
    the centre of mass. The field does not depend on velocities, so it is time-reversible.

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

    Reference:
        Batzner et al., E(3)-equivariant graph neural networks for data-efficient and accurate interatomic potentials,
        Nat. Commun. 13, 2453 (2022); Geiger & Smidt, e3nn (2022), arXiv:2207.09453.
    """

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
        self.readout = AccelerationReadout(system, channels, zero_net_force=zero_net_force)
        self.network = EquivariantNetwork(system, settings, Degrees(inputs=0, outputs=1))

    @override
    def calibrate(self, statistics: MotionStatistics) -> None:
        self.readout.scale.copy_(statistics.acceleration)

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        features = self.network(state.positions, [self.embedding(len(state.positions))])
        return self.readout(features[1])
