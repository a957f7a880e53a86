"""The correction from the mismatch: what it learns of a thermostat, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from springs import STEP, STRIDE, SYSTEM, Springs, thermostatted

from neuralmd.data.windows import Part, cut
from neuralmd.errors import DataError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.calibration import fit_correction
from neuralmd.interpolators.correction import MismatchCorrection
from neuralmd.ode.solvers import RK4, VelocityVerlet

TRAIN, TEST = Part((range(4000),)), Part((range(4000, 5000),))


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


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


def test_the_path_is_right_between_the_frames_of_a_short_gap() -> None:
    """With no more frames than polynomials, positions alone would leave the velocities open."""
    frames, stride = thermostatted(0.01), 5
    model = corrected((stride * STEP,))
    plain = BidirectionalODE(model.field, model.solver, model.blend)
    fit_correction(model, frames, TRAIN)
    window = cut(frames, TEST.starts(stride, stride), stride, torch.float64)
    with_, without = model(window.anchors, window.times), plain(window.anchors, window.times)
    error, before = (rms(path.velocities - window.hidden_velocities) for path in (with_, without))
    assert error < 1.2 * before
    assert rms(with_.positions - window.hidden) < 0.9 * rms(without.positions - window.hidden)


def rms(values: torch.Tensor) -> float:
    return values.square().mean().sqrt().item()


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
    (both,) = model.probed_solutions(window.anchors, window.times)
    with pytest.raises(DataError, match="not fitted for gaps of 7 fs"):
        model.correction(both, (both.forward.positions, both.backward.positions))


def test_it_costs_no_evaluation_where_the_solver_has_accelerations() -> None:
    frames, model = thermostatted(0.0), corrected()
    window, count = cut(frames, torch.tensor([4100]), STRIDE, torch.float64), []
    model.correction.coefficients.fill_(0.01)
    model.field.register_forward_hook(lambda _field, _given, found: count.append(len(found)))
    path = model(window.anchors, window.times)
    assert count == [2] * 21
    model.solver = RK4(STEP / 4)
    count.clear()
    torch.testing.assert_close(model(window.anchors, window.times).velocities, path.velocities, rtol=0.05, atol=0.05)
    assert count == [2] * 320 + [len(window.times)] * 2


def test_a_part_without_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="no window of stride 20"):
        fit_correction(corrected(), thermostatted(0.01), Part((range(10),)))
