"""Benzene on anharmonic springs: a smooth field with true frequencies, at the price of the network that adds to it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from neuralmd.data.molecules import molecule
from neuralmd.fields.base import Field
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import BlanesMoan
from neuralmd.system import Accelerations, PhaseState, System
from neuralmd.units import ACCELERATION, BOLTZMANN

SYSTEM = System.from_atomic_numbers([6] * 6 + [1] * 6)
TEMPERATURE = 500.0
_CH_BOND, _CC_BOND, _NEXT, _FAR = 32.0, 42.0, 5.0, 0.5
"""Force constants [eV/A^2]; those of the bonds are textbook values, 5.1 and 6.7 mdyn/A."""
_MORSE = 1.8
"""Of the bonds [1/A]: how fast they soften."""
_NETWORK_SCALE = 1e-4
"""Typical acceleration of the network [A/fs^2], about a hundredth of the springs'."""


class SpringBenzene(Field):
    """Springs between all pairs of atoms, Morse springs for bonds, and a small share of the default network.

    a_i = -1/m_i d/dx_i sum_pairs k/(2 c^2) (1 - exp(-c (r - r_0)))^2 + network;  c -> 0 where there is no bond

    The springs decide where it goes, and the network what an evaluation costs and how many weights have gradients.
    """

    stiffness: Tensor
    rest: Tensor
    softening: Tensor
    masses: Tensor

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = EquivariantField(SYSTEM)
        self.network.readout.scale.fill_(_NETWORK_SCALE)
        positions = torch.as_tensor(molecule("benzene").get_positions())
        distances = torch.cdist(positions, positions)
        hydrogen = torch.as_tensor(SYSTEM.atomic_numbers) == 1
        stiffness = torch.full((12, 12), _FAR, dtype=torch.float64)
        stiffness[distances < 2.6] = _NEXT
        bonded = distances < 1.6
        stiffness[bonded] = torch.where(hydrogen[:, None] | hydrogen, _CH_BOND, _CC_BOND)[bonded].double()
        stiffness.fill_diagonal_(0.0)
        self.register_buffer("stiffness", stiffness)
        self.register_buffer("rest", distances)
        self.register_buffer("softening", torch.where(bonded, _MORSE, 1e-3))
        self.register_buffer("masses", torch.as_tensor(SYSTEM.masses)[:, None])
        self.to(dtype)

    def forward(self, state: PhaseState) -> Accelerations:
        positions = state.positions
        itself = torch.eye(12, dtype=positions.dtype)
        bonds = positions[:, None, :, :] - positions[:, :, None, :]
        distances = (bonds.square().sum(-1) + itself).sqrt()
        decay = torch.exp(-self.softening * (distances - self.rest))
        slopes = self.stiffness / self.softening * (1 - decay) * decay
        forces = ((slopes / distances)[..., None] * bonds).sum(2)
        return forces * (ACCELERATION / self.masses) + self.network(state)


@cache
def thermal(batch: int, dtype: torch.dtype = torch.float32) -> PhaseState:
    """Benzenes that have moved for 100 fs from rest positions with velocities of twice the temperature."""
    generator = torch.Generator().manual_seed(0)
    rest = torch.as_tensor(molecule("benzene").get_positions())
    speed = torch.as_tensor(2 * TEMPERATURE * BOLTZMANN * ACCELERATION / SYSTEM.masses).sqrt()[:, None]
    velocities = speed * torch.randn((batch, 12, 3), generator=generator, dtype=torch.float64)
    field, times = SpringBenzene(torch.float64), torch.tensor([0.0, 100.0])
    with torch.no_grad():
        solution = solve(field, PhaseState(rest.expand_as(velocities), velocities), times, BlanesMoan(1.0))
    return PhaseState(solution.positions[-1], solution.velocities[-1]).to(dtype)
