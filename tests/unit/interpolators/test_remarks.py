"""What is said of inferred velocities: nothing alarming where they are sure, the mode where the gap hides it."""

from __future__ import annotations

import math

import torch
from analytic import BrokenField, HarmonicField, MorseField, triangle

from neuralmd.interpolators.remarks import remarks
from neuralmd.interpolators.shooting import Dynamics, Shooting, infer_velocities
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import System

THREE = System(System.from_atomic_numbers([1, 1, 1]).atomic_numbers, torch.ones(3).double().numpy())
VERLET = VelocityVerlet(0.1)
PERIOD = 2 * math.pi / 0.6


def said(field, positions: torch.Tensor, gap: float) -> list[str]:
    found = infer_velocities(Dynamics(THREE, field, VERLET), positions, gap, Shooting(300.0, noise=1e-8))
    return remarks(found, THREE, gap)


def test_sure_velocities_need_one_sentence():
    field = MorseField()
    with torch.no_grad():
        path = solve(field, triangle(batch=1), 2.0 * torch.arange(8, dtype=torch.float64), VERLET)
    (sentence,) = said(field, path.positions[:, 0], 2.0)
    assert "8 frames 2 fs apart" in sentence


def test_a_gap_of_half_a_period_is_named_with_its_mode():
    field = HarmonicField(0.6)
    frames = [field.exact(triangle(batch=1), 0.5 * PERIOD * index).positions * 0.02 for index in range(8)]
    told = said(field, torch.cat(frames), 0.5 * PERIOD)
    assert len(told) == 2
    assert "3185 cm^-1, 1.00 half-periods" in told[1]
    assert "8 of 8 frames" in told[1]


def test_frames_that_could_not_be_inferred_are_counted():
    positions = (0.25 * torch.arange(12, dtype=torch.float64) - 0.75).reshape(-1, 1, 1).expand(-1, 3, 3)
    assert "at 4 of 12 frames" in said(BrokenField(), positions, 1.0)[-1]
