"""The correction from the mismatch: what it learns of a thermostat, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames, Part, cut
from neuralmd.errors import DataError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.fields.base import Field
from neuralmd.interpolators.bidirectional import BidirectionalODE, fit_correction
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.correction import MismatchCorrection
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import Accelerations, PhaseState, System

SYSTEM = System.from_atomic_numbers([1] * 12)
OMEGAS = torch.linspace(0.1, 0.6, 36, dtype=torch.float64).reshape(12, 3)
STEP, STRIDE = 0.5, 20
TRAIN, TEST = Part((range(4000),)), Part((range(4000, 5000),))


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


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


def corrected(gaps: tuple[float, ...] = (STRIDE * STEP,)) -> BidirectionalODE:
    correction = MismatchCorrection(SYSTEM, gaps)
    return BidirectionalODE(Springs(), VelocityVerlet(STEP), PowerBlend(3.0), correction)


def test_a_thermostat_is_read_from_the_mismatch() -> None:
    """The exact field errs by the thermostat's noise alone; most of it is found, on windows that were not fitted."""
    frames, starts = thermostatted(0.01), TEST.starts(STRIDE, STRIDE)
    model = corrected()
    before = hidden_frame_errors(model, frames, starts, STRIDE).mae
    fit_correction(model, frames, TRAIN)
    after = hidden_frame_errors(model, frames, starts, STRIDE).mae
    assert after < 0.5 * before


def test_without_a_mismatch_there_is_nothing_to_correct() -> None:
    frames, model = thermostatted(0.0), corrected()
    fit_correction(model, frames, TRAIN)
    assert hidden_frame_errors(model, frames, TEST.starts(STRIDE, STRIDE), STRIDE).mae < 1e-9


def test_other_gaps_get_the_blend_alone() -> None:
    frames, model = thermostatted(0.01), corrected((5.0, 10.0))
    fit_correction(model, frames, TRAIN)
    plain = BidirectionalODE(model.field, model.solver, model.blend)
    for stride, same in ((10, False), (20, False), (14, True)):
        window = cut(frames, torch.tensor([4100, 4200]), stride, torch.float64)
        first, second = model(window.anchors, window.times), plain(window.anchors, window.times)
        assert torch.equal(first.positions, second.positions) is same
    assert model.remark(10.0) is None
    assert model.remark(7.0) == ("the correction was fitted for gaps of 5, 10 fs; these of 7 fs get the blend alone")
    assert model.correction is not None
    both = model.probed_solutions(window.anchors, window.times)
    with pytest.raises(DataError, match="not fitted for gaps of 7 fs"):
        model.correction(both, (both.forward.positions, both.backward.positions))


def test_a_part_without_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="no window of stride 20"):
        fit_correction(corrected(), thermostatted(0.01), Part((range(10),)))
