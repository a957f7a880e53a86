"""The bridge: what it makes of a thermostat, of noise on each atom, and of neither."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from analytic import MorseField
from four_atoms import FRAMES, STEP, STRIDE, SYSTEM, simulated

from neuralmd.data.anchors import Anchors
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames, Part, Window, cut
from neuralmd.errors import DataError, SolverError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import CompactBlend, PowerBlend
from neuralmd.interpolators.bridge import ThermostatBridge
from neuralmd.interpolators.bridge_fit import fit_bridge
from neuralmd.interpolators.calibration import calibrate_error_bars
from neuralmd.interpolators.error_bars import ErrorBars
from neuralmd.ode.solvers import RK4, VelocityVerlet
from neuralmd.system import PhaseState, System

TRAIN, TEST = Part((range(1900),)), Part((range(1920, FRAMES),))
STARTS = TEST.starts(STRIDE, STRIDE)
THERMOSTAT, HITS = 0.01, 2e-4


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def thermostatted() -> tuple[Frames, torch.Tensor]:
    return simulated(THERMOSTAT)


def model_of(rounds: int = 0, stiffer: float = 1.0) -> BidirectionalODE:
    field = MorseField(depth=0.05 * stiffer)
    bridge = ThermostatBridge(SYSTEM, [STRIDE], STEP, rounds)
    return BidirectionalODE(field, VelocityVerlet(STEP), PowerBlend(3.0), bridge=bridge).requires_grad_(
        requires_grad=False
    )


def error(model: BidirectionalODE, frames: Frames) -> float:
    return hidden_frame_errors(model, frames, STARTS, STRIDE).mae


def without(model: BidirectionalODE) -> BidirectionalODE:
    return BidirectionalODE(model.field, model.solver, model.blend)


@pytest.fixture(scope="module")
def bridged(thermostatted: tuple[Frames, torch.Tensor]) -> BidirectionalODE:
    torch.set_default_dtype(torch.float64)
    model = model_of()
    fit_bridge(model, thermostatted[0], TRAIN)
    return model


def windows(frames: Frames) -> Window:
    return cut(frames, STARTS, STRIDE, torch.float64)


def test_a_thermostat_is_undone(thermostatted: tuple[Frames, torch.Tensor], bridged: BidirectionalODE) -> None:
    """The exact field errs by the thermostat alone, most of which the bridge finds, in a molecule that tumbles."""
    frames, _ = thermostatted
    assert error(bridged, frames) < 0.2 * error(without(bridged), frames)


def test_it_tells_the_friction_and_how_sure_it_is(
    thermostatted: tuple[Frames, torch.Tensor], bridged: BidirectionalODE
) -> None:
    frames, factors = thermostatted
    window = windows(frames)
    friction = bridged(window.anchors, window.times).friction
    assert friction is not None
    truth = -torch.stack([factors[STARTS + j] for j in range(STRIDE)]) / STEP
    torch.testing.assert_close(friction.times, STEP * torch.arange(STRIDE))
    whole = torch.stack((friction.rate.sum(0), truth.sum(0)))
    assert torch.corrcoef(whole)[0, 1] > 0.95
    assert torch.corrcoef(torch.stack((friction.rate.flatten(), truth.flatten())))[0, 1] > 0.5
    scores = (friction.rate - truth) / friction.spread
    assert 0.5 < scores.square().mean().sqrt() < 1.5
    assert (friction.spread * STEP < 1.3 * THERMOSTAT).all()


def test_a_turned_molecule_gives_the_turned_path(
    thermostatted: tuple[Frames, torch.Tensor], bridged: BidirectionalODE
) -> None:
    window = windows(thermostatted[0])
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)
    states = [
        PhaseState(one.positions @ turn, one.velocities @ turn) for one in (window.anchors.start, window.anchors.end)
    ]
    path, turned = bridged(window.anchors, window.times), bridged(Anchors(*states, window.anchors.gap), window.times)
    torch.testing.assert_close(turned.positions, path.positions @ turn, rtol=0, atol=1e-10)
    torch.testing.assert_close(turned.friction.rate, path.friction.rate, rtol=0, atol=1e-8)


def test_a_round_solves_again_and_errs_less(
    thermostatted: tuple[Frames, torch.Tensor], bridged: BidirectionalODE
) -> None:
    frames, _ = thermostatted
    again = model_of(rounds=1)
    fit_bridge(again, frames, TRAIN)
    assert error(again, frames) < 0.7 * error(bridged, frames)
    window, count = windows(frames), []
    again.field.register_forward_hook(lambda _field, _given, found: count.append(len(found)))
    again(window.anchors, window.times)
    assert count == [2 * len(STARTS)] * (2 * (STRIDE + 1))


def test_it_costs_no_evaluation_and_serves_a_blend_that_saves_some(
    thermostatted: tuple[Frames, torch.Tensor], bridged: BidirectionalODE
) -> None:
    frames, _ = thermostatted
    short = BidirectionalODE(bridged.field, bridged.solver, CompactBlend(0.25), bridge=bridged.bridge)
    assert error(short, frames) < 1.1 * error(bridged, frames)
    window, count = windows(frames), []
    hook = short.field.register_forward_hook(lambda _field, _given, found: count.append(len(found)))
    short(window.anchors, window.times)
    hook.remove()
    assert count == [2 * len(STARTS)] * (3 * STRIDE // 4 + 1)


def test_kicks_that_are_known_give_the_truth_both_ways(thermostatted: tuple[Frames, torch.Tensor]) -> None:
    frames, factors = thermostatted
    window, model = windows(frames), model_of()
    kicks = torch.stack([factors[STARTS + j, None, None] * frames.velocities[STARTS + j] for j in range(STRIDE)])
    none = torch.zeros(0)
    both = model.kicked_solutions(window.anchors, window.times, none, kicks)
    for path in (both.forward, both.backward):
        torch.testing.assert_close(path.positions, window.hidden, rtol=0, atol=1e-12)
        torch.testing.assert_close(path.velocities, window.hidden_velocities, rtol=0, atol=1e-12)
    inside = window.times[:3] + 0.2
    path = model.kicked_solutions(
        window.anchors, torch.stack((inside - 1e-4, inside, inside + 1e-4), 1).flatten(), none, kicks
    )
    x, v = path.forward.positions.unflatten(0, (3, 3)), path.forward.velocities.unflatten(0, (3, 3))
    torch.testing.assert_close(v[:, 1], (x[:, 2] - x[:, 0]) / 2e-4, rtol=0, atol=1e-8)


def test_without_a_thermostat_there_is_next_to_no_friction() -> None:
    """A field that is off by a per cent, and no thermostat: the bridge mends the field and blames no friction."""
    frames, _ = simulated()
    model = model_of(stiffer=1.01)
    fit_bridge(model, frames, TRAIN)
    window = windows(frames)
    assert error(model, frames) <= error(without(model), frames)
    path = model(window.anchors, window.times)
    assert path.friction is None or path.friction.rate.square().mean().sqrt() * STEP < 0.05 * THERMOSTAT


def test_noise_on_each_atom_is_smoothed() -> None:
    """As of a Langevin thermostat: no friction explains it, and no model can know it; two thirds are still found."""
    frames, _ = simulated(hits=HITS)
    model = model_of()
    fit_bridge(model, frames, TRAIN)
    assert error(model, frames) < 0.8 * error(without(model), frames)


@pytest.mark.parametrize("blend", [PowerBlend(3.0), CompactBlend(0.25)])
def test_its_error_bars_cover_and_are_wider_where_the_error_is(
    thermostatted: tuple[Frames, torch.Tensor], bridged: BidirectionalODE, blend: PowerBlend | CompactBlend
) -> None:
    """Calibrated on one part, they cover another; they turn with nothing, and the gap that errs most has wide ones."""
    frames, _ = thermostatted
    bars = ErrorBars(SYSTEM, (STRIDE,), STEP)
    model = BidirectionalODE(bridged.field, bridged.solver, blend, error_bars=bars, bridge=bridged.bridge)
    calibrate_error_bars(model, frames, Part((range(1000, 1900),)))
    errors = hidden_frame_errors(model, frames, STARTS, STRIDE)
    assert errors.coverage == pytest.approx(0.9, abs=0.04)
    window = windows(frames)
    path = model(window.anchors, window.times)
    squares = (path.positions - window.hidden).square().mean((0, 2, 3)).log()
    widths = path.error_bars.square().mean((0, 2)).log()
    assert torch.corrcoef(torch.stack((squares, widths)))[0, 1] > 0.2
    ends = model(window.anchors, torch.tensor([0.0, STRIDE * STEP]))
    assert not ends.error_bars.any()


def test_other_gaps_get_the_blend_alone(thermostatted: tuple[Frames, torch.Tensor], bridged: BidirectionalODE) -> None:
    window = cut(thermostatted[0], STARTS[:2], STRIDE - 2, torch.float64)
    path, plain = bridged(window.anchors, window.times), without(bridged)(window.anchors, window.times)
    assert torch.equal(path.positions, plain.positions)
    assert path.friction is None
    assert bridged.remark(5.0) == "the bridge serves gaps of 6 fs; these of 5 fs get the blend alone"
    assert bridged.remark(6.0) is None
    with pytest.raises(DataError, match="not fitted for gaps of 5 fs"):
        bridged.bridge.noise(5.0, 0)


def test_what_has_no_axes_is_refused(thermostatted: tuple[Frames, torch.Tensor]) -> None:
    with pytest.raises(DataError, match=r"three atoms that are not on one line.*H2 has 2.*kind=least_squares"):
        ThermostatBridge(System.from_atomic_numbers([1, 1]), [10], STEP)
    system = System.from_atomic_numbers([8, 6, 8])
    line = np.zeros((200, 3, 3))
    line[:, :, 0] = [-1.2, 0.0, 1.2]
    frames = Frames.of(Trajectory.uniform(system, line, STEP, velocities=np.zeros_like(line)))
    model = BidirectionalODE(
        MorseField(), VelocityVerlet(STEP), PowerBlend(3.0), bridge=ThermostatBridge(system, [10], STEP)
    )
    with pytest.raises(DataError, match="they are on one line"):
        fit_bridge(model, frames, Part((range(200),)))
    with pytest.raises(DataError, match=r"has 8 windows of stride 12.*needs 20"):
        fit_bridge(model_of(), thermostatted[0], Part((range(20),)))


@pytest.mark.parametrize(
    ("solver", "message"), [(RK4(STEP), "need velocity_verlet"), (VelocityVerlet(0.4), r"kick every 0\.5 fs")]
)
def test_rounds_need_a_solver_that_can_stop_at_the_kicks(
    solver: RK4 | VelocityVerlet, message: str, thermostatted: tuple[Frames, torch.Tensor]
) -> None:
    window, model = windows(thermostatted[0]), model_of()
    model.solver = solver
    kicks = torch.zeros(STRIDE, len(STARTS), 4, 3)
    with pytest.raises(SolverError, match=message):
        model.kicked_solutions(window.anchors, window.times, torch.zeros(0), kicks)
