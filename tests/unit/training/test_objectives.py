"""What training minimises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import HarmonicField

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames, Part, derivative_samples
from neuralmd.errors import DataError
from neuralmd.fields.statistics import acceleration_scale
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import PhaseState, System, Velocities
from neuralmd.training.objectives import (
    DerivativeMatching,
    DerivativeSettings,
    TrajectoryMatching,
    TrajectorySettings,
    keep_all,
    mean_norm,
    mean_square,
    project_out_velocity,
)

SYSTEM = System.from_atomic_numbers([1, 1, 8])
OMEGA, STEP = 0.3, 0.5


def verlet(frames: int = 300, friction: float = 0.0) -> Frames:
    """Three atoms on springs, by velocity Verlet; friction(t) = friction sin(t) acts on all velocities alike."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(3, 3)), OMEGA * rng.normal(size=(3, 3))
    xs, vs = [x], [v]
    for step in range(frames - 1):
        kick = np.exp(friction * np.sin(step))
        half = v * kick - 0.5 * STEP * OMEGA**2 * x
        x = x + STEP * half
        v = half - 0.5 * STEP * OMEGA**2 * x
        xs.append(x)
        vs.append(v)
    return Frames.of(Trajectory.uniform(SYSTEM, np.array(xs), STEP, velocities=np.array(vs)))


WHOLE = Part((range(300),))


@pytest.fixture(autouse=True)
def _double_precision() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_second_differences_of_verlet_are_matched_exactly_by_the_true_field() -> None:
    frames = verlet()
    objective = DerivativeMatching(
        HarmonicField(OMEGA), derivative_samples(frames, WHOLE), SYSTEM, keep_all, DerivativeSettings(64)
    )
    batch = objective.draw(torch.Generator().manual_seed(0), 0.0)
    assert objective(batch).item() < 1e-20
    wrong = DerivativeMatching(
        HarmonicField(2 * OMEGA), derivative_samples(frames, WHOLE), SYSTEM, keep_all, DerivativeSettings(64)
    )
    assert wrong(batch).item() == pytest.approx(9.0, rel=0.3)


def test_losses_of_known_residuals() -> None:
    residual = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 2.0], [1.0, 2.0, 2.0]]])
    assert mean_square(residual).item() == pytest.approx((25 + 4 + 9) / 12)
    assert mean_norm(residual).item() == pytest.approx((5 + 0 + 2 + 3) / 4, abs=1e-5)
    turned = residual.requires_grad_()
    mean_norm(turned).backward()
    assert turned.grad is not None
    torch.testing.assert_close(turned.grad[0, 0], torch.tensor([0.6, 0.8, 0.0]) / 4)
    assert turned.grad[0, 1].abs().max() == 0  # where the norm has no derivative


def test_the_objective_minimises_the_loss_that_it_is_given() -> None:
    samples, field = derivative_samples(verlet(), WHOLE), HarmonicField(2 * OMEGA)
    losses = {}
    for loss in (mean_square, mean_norm):
        objective = DerivativeMatching(field, samples, SYSTEM, keep_all, DerivativeSettings(50, loss))
        losses[loss] = objective(objective.draw(torch.Generator().manual_seed(0), 0.0)).item()
    assert losses[mean_norm] < (3 * losses[mean_square]) ** 0.5  # Jensen: the mean norm is below the root mean square
    assert losses[mean_norm] > 0.8 * (3 * losses[mean_square]) ** 0.5


@pytest.mark.parametrize("neighbours", [False, True])
def test_reversals_turn_velocities_around_and_change_nothing_for_what_does_not_read_them(neighbours: bool) -> None:
    samples = derivative_samples(verlet(), WHOLE)
    if neighbours:
        here = PhaseState(samples.positions, samples.velocities)
        samples = replace(samples, before=here, after=here)
    plain, turning = (
        DerivativeMatching(
            HarmonicField(OMEGA), samples, SYSTEM, keep_all, DerivativeSettings(100, reversals=reversals)
        )
        for reversals in (False, True)
    )
    first, second = (one.draw(torch.Generator().manual_seed(0), 0.0) for one in (plain, turning))
    sign = (second.velocities * first.velocities).sum((1, 2)).sign()
    assert set(sign.tolist()) == {-1.0, 1.0}
    assert 30 < int((sign < 0).sum()) < 70
    for one, other in ((first.before, second.before), (first.after, second.after)):
        if one is not None:
            assert other is not None
            assert torch.equal(other.velocities, sign[:, None, None] * one.velocities)
            assert torch.equal(other.positions, one.positions)
    assert torch.equal(first.positions, second.positions)
    assert torch.equal(first.accelerations, second.accelerations)
    assert turning(second).item() == plain(first).item()


def test_projection_hides_a_global_thermostat_and_nothing_else() -> None:
    frames = verlet(friction=0.05)
    samples = derivative_samples(frames, WHOLE)
    generator = torch.Generator()
    projected = DerivativeMatching(HarmonicField(OMEGA), samples, SYSTEM, project_out_velocity, DerivativeSettings(128))
    plain = DerivativeMatching(HarmonicField(OMEGA), samples, SYSTEM, keep_all, DerivativeSettings(128))
    batch = projected.draw(generator.manual_seed(0), 0.0)
    assert projected(batch).item() < 0.02 * plain(batch).item()
    residual, velocities = torch.randn(5, 3, 3), torch.randn(5, 3, 3)
    masses = torch.as_tensor(SYSTEM.masses)[:, None]
    kept = project_out_velocity(residual, velocities, masses)
    assert (kept * velocities * masses).sum((1, 2)).abs().max() < 1e-12
    assert torch.allclose(project_out_velocity(kept + 3.0 * velocities, velocities, masses), kept)


class SkewedField(HarmonicField):
    """A spring whose dx/dt is learned, and wrong by a factor."""

    learns_velocity = True

    def velocity(self, state: PhaseState) -> Velocities:
        return 1.5 * state.velocities


def test_a_learned_velocity_is_matched_too() -> None:
    samples = derivative_samples(verlet(), WHOLE)
    objective = DerivativeMatching(
        SkewedField(OMEGA), samples, SYSTEM, keep_all, DerivativeSettings(len(samples.positions))
    )
    assert objective(samples).item() == pytest.approx(0.25, rel=1e-6)


def test_scale_is_per_element() -> None:
    samples = derivative_samples(verlet(), WHOLE)
    scale = acceleration_scale(samples, SYSTEM)
    assert scale[0] == scale[1] != scale[2]
    assert float(scale[2]) == pytest.approx(float(samples.accelerations[:, 2].square().mean().sqrt()))


def test_atoms_at_rest_cannot_be_learned() -> None:
    still = Frames.of(Trajectory.uniform(SYSTEM, np.zeros((10, 3, 3)), STEP, velocities=np.zeros((10, 3, 3))))
    with pytest.raises(DataError, match="never accelerates"):
        acceleration_scale(derivative_samples(still, Part((range(10),))), SYSTEM)


def test_trajectory_loss_is_the_share_of_the_spline_s_error_that_remains() -> None:
    frames = verlet()
    exact = BidirectionalODE(HarmonicField(OMEGA), VelocityVerlet(STEP), PowerBlend(3.0))
    objective = TrajectoryMatching(exact, frames, WHOLE, 12, TrajectorySettings(8, 4))
    generator = torch.Generator().manual_seed(0)
    assert objective(objective.draw(generator, 1.0)).item() < 1e-20
    off = BidirectionalODE(HarmonicField(1.05 * OMEGA), VelocityVerlet(STEP), PowerBlend(3.0))
    loss = TrajectoryMatching(off, frames, WHOLE, 12, TrajectorySettings(8, 4))(objective.draw(generator, 1.0))
    assert 0.0 < float(loss.detach()) < 1.0
    loss.backward()
    assert float(off.field.omega.grad) > 0.0


def test_velocities_count_as_much_as_they_are_told_to() -> None:
    frames = verlet()
    off = BidirectionalODE(HarmonicField(1.05 * OMEGA), VelocityVerlet(STEP), PowerBlend(3.0))
    objectives = [
        TrajectoryMatching(off, frames, WHOLE, 12, TrajectorySettings(8, velocity_weight=w)) for w in (0.0, 1.0, 3.0)
    ]
    batch = objectives[0].draw(torch.Generator().manual_seed(0), 1.0)
    none, one, three = (float(objective(batch).detach()) for objective in objectives)
    assert none < one
    assert three - none == pytest.approx(3.0 * (one - none))


def test_horizon_grows_over_the_first_half_of_the_stage() -> None:
    exact = BidirectionalODE(HarmonicField(OMEGA), VelocityVerlet(STEP), PowerBlend(3.0))
    objective = TrajectoryMatching(exact, verlet(), WHOLE, 20, TrajectorySettings(2, 4))
    generator = torch.Generator().manual_seed(0)
    strides = [round(objective.draw(generator, done).anchors.gap / STEP) for done in (0.0, 0.25, 0.5, 1.0)]
    assert strides == [4, 12, 20, 20]
    with pytest.raises(DataError, match="no window of 400"):
        TrajectoryMatching(exact, verlet(), WHOLE, 400, TrajectorySettings(2))
