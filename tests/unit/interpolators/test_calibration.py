"""Error bars of the bidirectional neural ODE: calibrated on one part, they cover another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from springs import STEP, STRIDE, SYSTEM, Springs, thermostatted

from neuralmd.data.windows import Frames, Part, cut
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import CompactBlend, PowerBlend
from neuralmd.interpolators.calibration import calibrate_error_bars, fit_correction
from neuralmd.interpolators.correction import MismatchCorrection
from neuralmd.interpolators.error_bars import ErrorBars, Guesses
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import Accelerations, PhaseState

TRAIN, VALIDATION, TEST = (Part((range(*span),)) for span in ((0, 2000), (2000, 3500), (3500, 5000)))


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def frames() -> Frames:
    return thermostatted(0.01)


@pytest.mark.parametrize("corrects", [False, True])
def test_the_bars_cover_what_they_say(frames: Frames, corrects: bool) -> None:
    correction = MismatchCorrection(SYSTEM, (STRIDE * STEP,)) if corrects else None
    bars = ErrorBars(SYSTEM, (STRIDE,), STEP)
    model = BidirectionalODE(Springs(), VelocityVerlet(STEP), PowerBlend(3.0), correction, bars)
    starts = TEST.starts(STRIDE, 3)
    assert hidden_frame_errors(model, frames, starts, STRIDE).coverage is None
    fit_correction(model, frames, TRAIN)
    calibrate_error_bars(model, frames, VALIDATION)
    errors = hidden_frame_errors(model, frames, starts, STRIDE)
    # The springs have no temperature of their own: their energy drifts from part to part, and the errors with it.
    assert errors.coverage == pytest.approx(0.9, abs=0.05)
    assert errors.coverage_per_position is not None
    # The last hidden frame of the backward solution is exact here: its error and its bar are rounding.
    assert all(abs(part - 0.9) < 0.08 for part in errors.coverage_per_position[:-1])
    assert errors.error_bar is not None
    assert errors.error_bar < 4 * errors.rmse


def test_bars_need_both_solutions_where_the_blend_reads_one(frames: Frames) -> None:
    """A blend of compact support leaves most of a solution out, but its disagreement is the bar."""
    bars = ErrorBars(SYSTEM, (STRIDE,), STEP)
    model = BidirectionalODE(Springs(), VelocityVerlet(STEP), CompactBlend(), None, bars)
    window = cut(frames, TEST.starts(STRIDE, STRIDE)[:4], STRIDE, torch.float64)
    before = model(window.anchors, window.times)
    calibrate_error_bars(model, frames, VALIDATION)
    after = model(window.anchors, window.times)
    torch.testing.assert_close(before.positions, after.positions, rtol=0, atol=1e-12)
    assert after.error_bars is not None
    forward, backward = model.solutions(window.anchors, window.times)
    s = window.times / window.anchors.gap
    guesses = Guesses.without_levels((backward.positions - forward.positions).square().mean(-1))
    expected = bars(window.anchors.gap, s, guesses)
    torch.testing.assert_close(after.error_bars, expected)


class Softer(Springs):
    """Springs that give way by a twentieth."""

    def forward(self, state: PhaseState) -> Accelerations:
        return 0.95 * super().forward(state)


def test_bars_of_an_ensemble_grow_with_its_disagreement(frames: Frames) -> None:
    bars, field = ErrorBars(SYSTEM, (STRIDE,), STEP), EnsembleField([Springs(), Softer()])
    model = BidirectionalODE(field, VelocityVerlet(STEP), PowerBlend(3.0), None, bars)
    calibrate_error_bars(model, frames, VALIDATION)
    window = cut(frames, TEST.starts(STRIDE, STRIDE), STRIDE, torch.float64)
    found = model.uncorrected(window.anchors, window.times, reach=1.0)
    levels = model.guesses(found).levels
    apart = [(0.05 * Springs()(end)).square().mean((1, 2)) / 2 for end in (window.anchors.start, window.anchors.end)]
    torch.testing.assert_close(levels, (apart[0] + apart[1]) / 2)
    errors = hidden_frame_errors(model, frames, TEST.starts(STRIDE, 3), STRIDE)
    assert errors.coverage == pytest.approx(0.9, abs=0.05)


def test_a_stride_with_too_few_windows_has_no_bars_and_says_so(frames: Frames) -> None:
    bars = ErrorBars(SYSTEM, (STRIDE, 5), STEP)
    model = BidirectionalODE(Springs(), VelocityVerlet(STEP), PowerBlend(3.0), None, bars)
    calibrate_error_bars(model, frames, Part((range(25),)))
    window = cut(frames, TEST.starts(STRIDE, STRIDE)[:4], STRIDE, torch.float64)
    assert model(window.anchors, window.times).error_bars is None
    assert "at least 9 windows" in str(model.remark(STRIDE * STEP))
    assert model.remark(5 * STEP) is None
