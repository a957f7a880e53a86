"""Fields fitted to thinned data and to forces: which of the targets gives the better one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import MorseField, triangle
from four_atoms import SYSTEM as FOUR
from four_atoms import acceleration, simulated

from neuralmd.data.derivatives import Difference, difference_samples, force_samples
from neuralmd.data.samples import DerivativeSamples
from neuralmd.data.trajectory import Trajectory, with_central_velocities, with_seven_point_velocities
from neuralmd.data.windows import Frames, Part
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import BlanesMoan, Solver, VelocityVerlet
from neuralmd.system import PhaseState, System
from neuralmd.training.objectives import (
    DerivativeMatching,
    DerivativeSettings,
    Projection,
    keep_all,
    project_out_velocity,
)

THREE = System(np.array([1, 1, 1]), np.ones(3))
EVERY = 1.2
"""Time between stored frames [fs], a ninth of the vibration's period."""

STRIDE = 8


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def thinned() -> Trajectory:
    """Morse springs integrated in steps of 0.1 fs, of which every twelfth is stored, without velocities."""
    times = EVERY * torch.arange(240, dtype=torch.float64)
    with torch.no_grad():
        path = solve(MorseField(), triangle(1), times, VelocityVerlet(0.1))
    return Trajectory.uniform(THREE, path.positions[:, 0].double().numpy(), EVERY)


def fitted(samples: DerivativeSamples, system: System, projection: Projection = keep_all) -> MorseField:
    """A Morse field whose three numbers are found from wrong ones, always in the same number of steps."""
    field = MorseField(depth=0.04, alpha=1.8, length=1.25)
    objective = DerivativeMatching(field, samples, system, projection, DerivativeSettings(1))
    optimizer = torch.optim.LBFGS(
        field.parameters(), max_iter=25, line_search_fn="strong_wolfe", tolerance_grad=0.0, tolerance_change=0.0
    )

    def loss() -> float:
        optimizer.zero_grad()
        found = objective(objective.samples)
        found.backward()
        return float(found.detach())

    optimizer.step(loss)
    return field


def force_error(field: MorseField, positions: torch.Tensor) -> float:
    """Root mean square over that of the true accelerations."""
    with torch.no_grad():
        true, found = (each(PhaseState(positions, torch.zeros_like(positions))) for each in (MorseField(), field))
    return float((found - true).square().mean().sqrt() / true.square().mean().sqrt())


def path_error(field: MorseField, frames: Frames, solver: Solver) -> float:
    model = BidirectionalODE(field, solver, PowerBlend(3.0))
    return hidden_frame_errors(model, frames, torch.arange(4, 220, 9), STRIDE).mae


def test_a_field_from_thinned_frames_is_better_by_numerov_and_by_seven_points(thinned: Trajectory) -> None:
    """With a solver that follows it, and velocities that do; the Verlet target is right for neither."""
    central = Frames.of(with_central_velocities(thinned))
    exact = Frames.of(with_seven_point_velocities(thinned))
    whole = Part((range(len(exact.positions)),))
    fields = {each: fitted(difference_samples(exact, whole, each), THREE) for each in Difference}
    errors = {each: force_error(field, exact.positions) for each, field in fields.items()}
    assert errors[Difference.VERLET] > 0.05
    assert errors[Difference.NUMEROV] < 0.1 * errors[Difference.VERLET]
    assert errors[Difference.SEVEN_POINT] < 0.1 * errors[Difference.VERLET]
    # Verlet's own step with central differences undoes what part of its error harmonic springs have.
    usual = path_error(fields[Difference.VERLET], central, VelocityVerlet(EVERY))
    for better in (Difference.NUMEROV, Difference.SEVEN_POINT):
        for solver in (BlanesMoan(EVERY), VelocityVerlet(EVERY / 6)):
            assert path_error(fields[better], exact, solver) < 0.3 * usual


def test_a_field_from_forces_is_better_where_a_thermostat_acts_on_each_atom() -> None:
    """At equal steps; no projection takes such noise out of differences."""
    frames, _ = simulated(noise=0.02, hits=0.001)
    forced = replace(frames, accelerations=acceleration(frames.positions))
    part = Part((range(600),))
    differences = difference_samples(forced, part, Difference.VERLET)
    by_differences = fitted(differences, FOUR, project_out_velocity)
    by_forces = fitted(force_samples(forced, part), FOUR)
    assert force_error(by_forces, frames.positions) < 0.3 * force_error(by_differences, frames.positions)


@pytest.mark.parametrize("difference", Difference)
def test_parts_of_a_batch_add_up_to_its_loss(thinned: Trajectory, difference: Difference) -> None:
    """As several processes share it."""
    frames = Frames.of(with_seven_point_velocities(thinned))
    samples = difference_samples(frames, Part((range(100),)), difference)
    objective = DerivativeMatching(MorseField(depth=0.04), samples, THREE, keep_all, DerivativeSettings(12))
    batch = objective.draw(torch.Generator().manual_seed(0), 0.0)
    parts = [objective(batch, rows) for rows in (slice(0, 5), slice(5, 12))]
    torch.testing.assert_close(sum(parts), objective(batch))
