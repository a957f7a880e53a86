"""Fields whose motion is known, for the tests of solvers and interpolators."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from neuralmd.fields.base import Field
from neuralmd.system import Accelerations, PhaseState


class HarmonicField(Field):
    """Each atom on a spring to the origin: a = -omega^2 x. Period 2 pi / omega [fs]."""

    def __init__(self, omega: float = 0.6, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.omega = nn.Parameter(torch.tensor(omega, dtype=dtype))

    def forward(self, state: PhaseState) -> Accelerations:
        return -(self.omega**2) * state.positions

    def exact(self, state: PhaseState, time: float) -> PhaseState:
        omega = self.omega.detach()
        sine, cosine = torch.sin(omega * time), torch.cos(omega * time)
        return PhaseState(
            cosine * state.positions + sine / omega * state.velocities,
            cosine * state.velocities - omega * sine * state.positions,
        )


class MorseField(Field):
    """Equal atoms of unit mass, each pair bound by D (1 - exp(-alpha (r - r0)))^2. Anharmonic; no net force."""

    def __init__(
        self, depth: float = 0.05, alpha: float = 1.5, length: float = 1.2, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.depth = nn.Parameter(torch.tensor(depth, dtype=dtype))
        self.alpha = nn.Parameter(torch.tensor(alpha, dtype=dtype))
        self.length = nn.Parameter(torch.tensor(length, dtype=dtype))

    def forward(self, state: PhaseState) -> Accelerations:
        bonds, distances = _pairs(state.positions)
        decay = torch.exp(-self.alpha * (distances - self.length))
        slope = 2 * self.depth * self.alpha * (1 - decay) * decay
        return (_off_diagonal(slope / distances)[..., None] * bonds).sum(dim=2)

    def energy(self, state: PhaseState) -> Tensor:
        """Energy of each configuration, for unit masses [A^2/fs^2]."""
        _, distances = _pairs(state.positions)
        well = self.depth * (1 - torch.exp(-self.alpha * (distances - self.length))) ** 2
        kinetic = 0.5 * (state.velocities**2).sum(dim=(-1, -2))
        return kinetic + 0.5 * _off_diagonal(well).sum(dim=(-1, -2))


class DampedField(Field):
    """A spring with friction: a = -omega^2 x - gamma v. Not reversible, and not for velocity Verlet."""

    depends_on_velocity: ClassVar[bool] = True

    def __init__(self, omega: float = 0.6, gamma: float = 0.05) -> None:
        super().__init__()
        self.omega = nn.Parameter(torch.tensor(omega, dtype=torch.float64))
        self.gamma = nn.Parameter(torch.tensor(gamma, dtype=torch.float64))

    def forward(self, state: PhaseState) -> Accelerations:
        return -(self.omega**2) * state.positions - self.gamma * state.velocities

    def exact(self, state: PhaseState, time: float) -> PhaseState:
        rate = 0.5 * self.gamma.detach()
        omega = torch.sqrt(self.omega.detach() ** 2 - rate**2)
        sine, cosine, decay = torch.sin(omega * time), torch.cos(omega * time), torch.exp(-rate * time)
        first, second = state.positions, (state.velocities + rate * state.positions) / omega
        positions = decay * (cosine * first + sine * second)
        return PhaseState(positions, decay * omega * (cosine * second - sine * first) - rate * positions)


class ExplodingField(Field):
    """a = x^3 times a large number: leaves every bound in finite time."""

    def forward(self, state: PhaseState) -> Accelerations:
        return 10.0 * state.positions**3


class BrokenField(Field):
    """NaN beyond x = 1."""

    def forward(self, state: PhaseState) -> Accelerations:
        return torch.where(state.positions.abs() > 1, torch.nan, torch.zeros_like(state.positions))


def triangle(batch: int = 2, dtype: torch.dtype = torch.float64, seed: int = 0) -> PhaseState:
    """Three atoms near the minimum of `MorseField`, in motion."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.tensor([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [0.6, 1.04, 0.0]], dtype=torch.float64)
    noise = torch.randn((2, batch, 3, 3), generator=generator, dtype=torch.float64)
    return PhaseState((corners + 0.05 * noise[0]).to(dtype), (0.05 * noise[1]).to(dtype))


def _pairs(positions: Tensor) -> tuple[Tensor, Tensor]:
    bonds = positions[:, None, :, :] - positions[:, :, None, :]
    diagonal = torch.eye(positions.shape[1], dtype=positions.dtype)
    return bonds, torch.sqrt((bonds**2).sum(-1) + diagonal)


def _off_diagonal(pairs: Tensor) -> Tensor:
    return pairs * (1 - torch.eye(pairs.shape[-1], dtype=pairs.dtype))
