"""A lambda that is fitted: it leans where it should, never falls, and belongs to one length of gap."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from analytic import DampedField
from springs import STEP, STRIDE, SYSTEM, Springs, thermostatted

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames, Part
from neuralmd.errors import DataError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blend_fit import fit_blend, least_squares
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.learned_blend import DEGREE, LearnedBlend, bernstein
from neuralmd.ode.solvers import RK4, VelocityVerlet
from neuralmd.system import PhaseState

GAP = STRIDE * STEP
TRAIN, TEST = Part((range(400),)), Part((range(400, 1400),))
HALF = torch.tensor([0.5], dtype=torch.float64)


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def damped() -> Frames:
    """Springs with friction and noise: what the noise does fades forward in time and grows backward."""
    generator = torch.Generator().manual_seed(0)
    field = DampedField(0.3, 0.3)
    noise = 0.02 * torch.randn(1400, 1, 12, 3, generator=generator, dtype=torch.float64)
    state, states = PhaseState(noise[0], 0.3 * noise[1]), []
    for kick in noise:
        state = field.exact(PhaseState(state.positions, state.velocities + kick), STEP)
        states.append(state)
    positions, velocities = (
        torch.cat([getattr(one, name) for one in states]).detach().numpy() for name in ("positions", "velocities")
    )
    return Frames.of(Trajectory.uniform(SYSTEM, positions, STEP, velocities=velocities))


def test_it_leans_forward_where_the_backward_solution_is_worse(damped: Frames) -> None:
    blend = LearnedBlend(SYSTEM, [GAP])
    model = BidirectionalODE(DampedField(0.3, 0.3), RK4(STEP), blend)
    fit_blend(model, damped, TRAIN)
    weight, rate = blend.of_atoms(HALF, GAP)
    assert bool((weight < 0.3).all()), weight
    assert bool((rate > 0).all())
    starts = TEST.starts(STRIDE, STRIDE)
    usual = BidirectionalODE(model.field, model.solver, PowerBlend(3.0))
    errors = [hidden_frame_errors(one, damped, starts, STRIDE).rmse for one in (model, usual)]
    assert errors[0] < 0.8 * errors[1]


def random_steps(rng: np.random.Generator) -> np.ndarray:
    steps = rng.exponential(size=DEGREE - 2)
    return steps / steps.sum()


def curve(s: torch.Tensor, coefficients: np.ndarray) -> torch.Tensor:
    return bernstein(s, DEGREE) @ torch.as_tensor(coefficients)


def test_no_other_monotone_lambda_is_closer_to_what_each_frame_wants() -> None:
    """Frames whose own best weights fall here and there, and count more or less."""
    rng = np.random.default_rng(0)
    s = torch.arange(1, 20) / 20.0
    wanted = torch.as_tensor(np.linspace(0.0, 1.0, 19) + 0.2 * rng.normal(size=19))
    square = torch.as_tensor(rng.exponential(size=19))
    found = least_squares(s, wanted * square, square)
    assert bool((np.diff(found) >= 0).all())
    assert found[:2].tolist() == [0.0, 0.0]
    assert found[-2:].tolist() == [1.0, 1.0]
    best = float((square * (curve(s, found) - wanted).square()).sum())
    for _ in range(300):
        steps = 0.9 * np.diff(found)[1:-1] + 0.1 * random_steps(rng)
        other = np.concatenate(([0.0, 0.0], np.cumsum(steps), [1.0]))
        assert float((square * (curve(s, other) - wanted).square()).sum()) > best - 1e-4


def test_gaps_that_were_not_fitted_have_the_power_blend_and_say_so() -> None:
    frames, blend = thermostatted(0.01), LearnedBlend(SYSTEM, [GAP, 5 * STEP])
    model = BidirectionalODE(Springs(), VelocityVerlet(STEP), blend)
    usual = PowerBlend(3.0)
    s = torch.linspace(0.0, 1.0, 11)
    assert "lambda was learned for gaps of no fs; these of 10 fs get the power blend" in str(model.remark(GAP))
    assert torch.equal(blend.of_atoms(s, GAP)[0], usual.weight(s))
    fit_blend(model, frames, TRAIN)
    assert not torch.equal(blend.of_atoms(s, GAP)[0][:, 0], usual.weight(s))
    assert torch.equal(blend.of_atoms(s, 3.0)[1], usual.rate(s) / 3.0)
    assert torch.equal(blend.weight(s), usual.weight(s))
    assert model.remark(GAP) is None
    assert "gaps of 10, 2.5 fs; these of 3 fs" in str(model.remark(3.0))


@pytest.mark.parametrize("stride", [2, 3, 20])
def test_the_power_blend_comes_out_where_hidden_frames_want_it_or_leave_it_open(stride: int) -> None:
    s, between = torch.arange(1, stride) / stride, torch.linspace(0.0, 1.0, 101)
    found = least_squares(s, PowerBlend(3.0).weight(s), torch.ones_like(s))
    assert float((curve(between, found) - PowerBlend(3.0).weight(between)).abs().max()) < 0.015


def test_a_part_without_a_window_is_refused() -> None:
    model = BidirectionalODE(Springs(), VelocityVerlet(STEP), LearnedBlend(SYSTEM, [GAP]))
    with pytest.raises(DataError, match="no window of stride 20 to fit lambda to"):
        fit_blend(model, thermostatted(0.01), Part((range(15),)))
