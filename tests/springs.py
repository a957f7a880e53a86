"""A thermostatted system whose field is known exactly: every coordinate on a spring of its own."""

from __future__ import annotations

import numpy as np
import torch

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames
from neuralmd.fields.base import Field
from neuralmd.system import Accelerations, PhaseState, System

SYSTEM = System.from_atomic_numbers([1] * 12)
OMEGAS = torch.linspace(0.1, 0.6, 36, dtype=torch.float64).reshape(12, 3)
STEP, STRIDE = 0.5, 20


class Springs(Field):
    """Every coordinate on a spring of its own, so that the velocities along a path point in many directions."""

    def forward(self, state: PhaseState) -> Accelerations:
        return -(OMEGAS**2) * state.positions


def thermostatted(noise: float) -> Frames:
    """Three atoms on springs; at every step all velocities are scaled by one random number near 1."""
    rng = np.random.default_rng(0)
    omegas = OMEGAS.numpy()
    x, v = rng.normal(size=(12, 3)), omegas * rng.normal(size=(12, 3))
    xs, vs = [], []
    for _ in range(5000):
        xs.append(x)
        vs.append(v)
        half = v * (1.0 + noise * rng.normal()) - 0.5 * STEP * omegas**2 * x
        x = x + STEP * half
        v = half - 0.5 * STEP * omegas**2 * x
    return Frames.of(Trajectory.uniform(SYSTEM, np.array(xs), STEP, velocities=np.array(vs)))
