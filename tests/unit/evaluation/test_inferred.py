"""Windows with inferred velocities: nothing of the hidden frames, nor of the file's velocities, is left in them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from analytic import MorseField, triangle

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames
from neuralmd.errors import ConfigError
from neuralmd.evaluation.evaluate import Windows, evaluate
from neuralmd.evaluation.inferred import anchors_of, dynamics_of, with_inferred_velocities
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.splines import CubicHermite, NaturalCubicSpline
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import System

THREE = System(System.from_atomic_numbers([1, 1, 1]).atomic_numbers, torch.ones(3).double().numpy())
MODEL = BidirectionalODE(MorseField(), VelocityVerlet(0.25), PowerBlend(3.0))
STRIDE = 8


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Two runs of windows, with a hole between them."""
    with torch.no_grad():
        path = solve(MODEL.field, triangle(batch=1), 0.5 * torch.arange(97, dtype=torch.float64), MODEL.solver)
    x, v = path.positions[:, 0].numpy(), path.velocities[:, 0].numpy()
    trajectory = Trajectory.uniform(THREE, x, 0.5, velocities=v, forces=0.0 * x)
    starts = torch.cat((torch.arange(0, 40, STRIDE), torch.arange(50, 89, STRIDE)))
    return Windows("Morse", Frames.of(trajectory), starts, STRIDE, trajectory.velocity_source)


def test_only_the_anchors_positions_count(windows: Windows):
    anchors = torch.cat((windows.starts, windows.starts + STRIDE)).unique()
    hidden = torch.ones(len(windows.frames.positions), dtype=torch.bool)
    hidden[anchors] = False
    blind = torch.where(hidden[:, None, None], torch.nan, windows.frames.positions)
    bare = replace(windows.frames, positions=blind, velocities=torch.full_like(blind, torch.nan))
    dynamics = dynamics_of(MODEL, THREE)
    full = with_inferred_velocities(windows, dynamics)
    alone = with_inferred_velocities(replace(windows, frames=bare), dynamics)
    assert torch.equal(full.frames.velocities[anchors], alone.frames.velocities[anchors])
    assert bool(torch.isnan(full.frames.velocities[hidden]).all())
    assert full.frames.accelerations is None
    torch.testing.assert_close(full.frames.velocities[anchors], windows.frames.velocities[anchors], rtol=0.0, atol=1e-5)


def test_the_evaluation_declares_them_and_beats_the_spline(windows: Windows):
    seen: list[int] = []
    inferred = with_inferred_velocities(windows, dynamics_of(MODEL, THREE), advance=seen.append)
    assert seen[-1] == anchors_of(windows) == 12
    result = evaluate({"spline": NaturalCubicSpline(), "ode": MODEL}, inferred)
    assert result.velocity_source == "inferred"
    assert result.to_dict()["velocities"] == "inferred"
    assert "12 frames 4 fs apart" in result.notes[0]
    assert result.methods["ode"].mae < 0.2 * result.methods["spline"].mae


def test_a_method_without_a_field_cannot_infer():
    with pytest.raises(ConfigError, match="field of a neural ODE"):
        dynamics_of(CubicHermite(), THREE)
