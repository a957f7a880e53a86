"""`HamiltonianField`: a Hamiltonian neural network, whose symplectic gradient gives velocities and accelerations."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from neuralmd.fields.base import Field
from neuralmd.fields.constant import Constant
from neuralmd.fields.dense import DENSE, DenseNetwork, DenseSettings, Standardise
from neuralmd.fields.gradients import gradients
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Accelerations, PhaseState, Positions, System, Velocities
from neuralmd.units import ACCELERATION


class HamiltonianField(Field):
    """A learned Hamiltonian: H is constant along the exact flow, whatever the weights.

    dx/dt = dH/dp,  dp/dt = -dH/dx,  H(x, p) = e MLP(u, w),  p = m v

    with u and w the standardised positions and momenta of `MLPField`. dx/dt is learned: it need not be v, which stands
    for p / m. With `kinetic="exact"`, H = sum_i |p_i|^2 / 2 m_i + e MLP(u), so that dx/dt = v and velocity Verlet can
    solve it.

    Attributes:
        unit: e [eV]; 1 before a calibration, the mean of m v_x^2 after it, which is kT.

    Args:
        system: The molecule.
        settings: The size of the network.
        kinetic: `learned` for the network of the reference, `exact` for the known kinetic energy.

    Reference:
        Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks (2019), arXiv:1906.01563.
    """

    unit: Tensor

    def __init__(
        self,
        system: System,
        settings: DenseSettings = DENSE,
        kinetic: Literal["learned", "exact"] = "learned",
    ) -> None:
        super().__init__()
        self.depends_on_velocity = self.learns_velocity = kinetic == "learned"
        self.standardise = Standardise(system)
        self.network = DenseNetwork(3 * system.atoms * (1 + self.learns_velocity), settings, 1)
        self.register_buffer("unit", torch.ones(()))
        self._masses = Constant(torch.as_tensor(system.masses)[:, None])

    @override
    def calibrate(self, statistics: MotionStatistics) -> None:
        self.standardise.calibrate(statistics)
        speed = statistics.speed
        self.unit.copy_((self._masses.like(speed)[:, 0] * speed.square()).mean() / ACCELERATION)

    def energy(self, state: PhaseState) -> Float[Tensor, " batch"]:
        """H of each configuration, up to a constant [eV]."""
        learned = self._learned(state.positions, state.velocities)
        if self.learns_velocity:
            return learned
        masses = self._masses.like(learned)
        return learned + 0.5 * (masses * state.velocities.square()).sum((1, 2)) / ACCELERATION

    @override
    def velocity(self, state: PhaseState) -> Velocities:
        return self.rates(state)[0]

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        return self.rates(state)[1]

    @override
    def rates(self, state: PhaseState) -> tuple[Velocities, Accelerations]:
        inputs = (state.positions, state.velocities) if self.learns_velocity else (state.positions,)
        slopes = gradients(self._learned, inputs, self)
        # p = m v: dH/dp = (1/m) dH/dv, and dv/dt = (1/m) dp/dt.
        factor = ACCELERATION / self._masses.like(slopes[0])
        velocities = factor * slopes[1] if self.learns_velocity else state.velocities
        return velocities, -factor * slopes[0]

    def _learned(self, positions: Positions, velocities: Velocities | None = None) -> Float[Tensor, " batch"]:
        numbers = self.standardise.positions(positions)
        if self.learns_velocity and velocities is not None:
            numbers = torch.cat((numbers, self.standardise.velocities(velocities)), dim=-1)
        return self.unit * self.network(numbers)[:, 0]
