"""Four equal atoms that vibrate, tumble and may be coupled to a thermostat; the field is known exactly."""

from __future__ import annotations

import numpy as np
import torch
from analytic import MorseField

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames
from neuralmd.system import PhaseState, System

SYSTEM = System(np.array([1, 1, 1, 1]), np.ones(4))
STEP, STRIDE, FRAMES = 0.5, 12, 2400


def acceleration(positions: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return MorseField()(PhaseState(positions, torch.zeros_like(positions)))


def simulated(noise: float = 0.0, hits: float = 0.0) -> tuple[Frames, torch.Tensor]:
    """Verlet steps after v <- v (1 + noise c_j) + hits w_j, c and w normal; the frames, and noise c_j at each."""
    rng = torch.Generator().manual_seed(0)
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    x = 1.2 / 8**0.5 * corners[None]
    v = 0.03 * torch.randn(1, 4, 3, generator=rng, dtype=torch.float64)
    v = v - v.mean(1, keepdim=True) + torch.linalg.cross(torch.tensor([0.01, 0.005, 0.0]).double().expand_as(x), x)
    a, xs, vs = acceleration(x), [], []
    factors = noise * torch.randn(FRAMES, generator=rng, dtype=torch.float64)
    for factor in factors:
        xs.append(x[0])
        vs.append(v[0])
        v = v * (1.0 + factor) + hits * torch.randn(1, 4, 3, generator=rng, dtype=torch.float64)
        v = v + 0.5 * STEP * a
        x = x + STEP * v
        a = acceleration(x)
        v = v + 0.5 * STEP * a
    trajectory = Trajectory.uniform(SYSTEM, torch.stack(xs).numpy(), STEP, velocities=torch.stack(vs).numpy())
    return Frames.of(trajectory), factors
