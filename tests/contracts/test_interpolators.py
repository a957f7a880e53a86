"""What every `Interpolator` keeps to. To add one, add a `Case` to CASES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from analytic import DampedField, MorseField, triangle
from ase.calculators.emt import EMT
from small_fields import LEARNED

from neuralmd.data.anchors import Anchors
from neuralmd.data.samples import DerivativeSamples
from neuralmd.errors import DataError
from neuralmd.fields.calculator import CalculatorField
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import CompactBlend, LinearBlend, PowerBlend, QuinticBlend
from neuralmd.interpolators.bridge import ThermostatBridge
from neuralmd.interpolators.correction import MismatchCorrection
from neuralmd.interpolators.equivariant_correction import EquivariantCorrection
from neuralmd.interpolators.learned_blend import LearnedBlend
from neuralmd.interpolators.one_way import BackwardODE, ForwardODE
from neuralmd.interpolators.orientation import BodyFrame, LabFrame, Orientation
from neuralmd.interpolators.recurrent import BackwardRNN, BidirectionalRNN, ForwardRNN, Rollout
from neuralmd.interpolators.recurrent_cells import Architecture, Cell
from neuralmd.interpolators.splines import CubicHermite, Linear, NaturalCubicSpline, QuinticHermite
from neuralmd.interpolators.whole_gap import WholeGapRNN
from neuralmd.ode.adjoints import ContinuousAdjoint, ReversibleAdjoint
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Midpoint, VelocityVerlet
from neuralmd.system import PhaseState, System

GAP = 2.1
SPACING = 0.7
"""Of the solvers' steps: GAP / 3, so that some query times lie between steps."""


@dataclass(frozen=True)
class Case:
    """An interpolator under test.

    Attributes:
        name: What the test report calls it.
        make: Builds it, in a precision, always with the same weights.
        meets: The anchors whose positions it gives exactly.
        smooth: Whether its velocity is the derivative of its positions to round-off, and not to the solver's error.
        independent: Whether its answer for one window is free of the others' influence to round-off.
    """

    name: str
    make: Callable[[torch.dtype], Interpolator]
    meets: tuple[str, ...] = ("start", "end")
    smooth: bool = True
    independent: bool = True


def adaptive(rtol: float = 1e-6) -> Dopri5:
    return Dopri5(rtol=rtol, atol=0.1 * rtol)


HYDROGENS = System.from_atomic_numbers([1, 1, 1])
CORNERS = torch.tensor([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [0.6, 1.04, 0.0]])


def rollout(dtype: torch.dtype, cell: Cell, orientation: Orientation) -> Rollout:
    torch.manual_seed(0)
    network = Rollout(HYDROGENS, SPACING, Architecture(cell, width=8, depth=2), orientation)
    units = network.normalisation
    units.displacement.fill_(0.1)
    units.speed.fill_(0.05)
    units.bend.fill_(0.002)
    units.kick.fill_(0.01)
    units.reference.copy_(CORNERS - CORNERS.mean(0))
    return network.to(dtype)


def learned(name: str) -> Case:
    """A neural ODE on a field with fresh weights."""
    solver = VelocityVerlet(SPACING) if name == "conservative" else RK4(SPACING)

    def make(dtype: torch.dtype) -> Interpolator:
        return BidirectionalODE(LEARNED[name](dtype), solver, PowerBlend(3.0))

    return Case(name, make, smooth=name == "conservative")


def corrected(dtype: torch.dtype) -> BidirectionalODE:
    """A blend with a correction whose coefficients are random but small."""
    correction = MismatchCorrection(HYDROGENS, [GAP])
    generator = torch.Generator().manual_seed(0)
    correction.coefficients.copy_(0.01 * torch.randn(correction.coefficients.shape, generator=generator))
    field = MorseField(dtype=dtype)
    return BidirectionalODE(field, VelocityVerlet(SPACING), PowerBlend(3.0), correction.to(dtype))


def equivariantly_corrected(dtype: torch.dtype) -> BidirectionalODE:
    """A blend with a correction whose last weights are random but small."""
    torch.manual_seed(0)
    correction = EquivariantCorrection(HYDROGENS, [GAP], channels=4)
    torch.nn.init.normal_(correction.networks[0].leave, std=0.01)
    correction.networks.requires_grad_()
    correction.ready.fill_(value=True)
    field = MorseField(dtype=dtype)
    return BidirectionalODE(field, VelocityVerlet(SPACING), PowerBlend(3.0), correction.to(dtype))


def bridged(dtype: torch.dtype, rounds: int = 0) -> BidirectionalODE:
    """A blend of two solutions that are moved by kicks, whose sizes are random but small."""
    generator = torch.Generator().manual_seed(0)
    bridge = ThermostatBridge(HYDROGENS, [3], SPACING, rounds)
    shapes = CORNERS + 0.05 * torch.randn(100, 3, 3, generator=generator)
    with torch.no_grad():
        still = PhaseState(shapes.double(), torch.zeros(100, 3, 3, dtype=torch.float64))
        bridge.modes.fit(DerivativeSamples(still.positions, still.velocities, MorseField()(still)), SPACING)
    bridge.factors.fill_(0.01)
    bridge.white.copy_(1e-3 * torch.rand(bridge.white.shape, generator=generator))
    bridge.smooth.copy_(1e-3 * torch.rand(bridge.white.shape, generator=generator))
    bridge.ready.fill_(value=True)
    return BidirectionalODE(MorseField(dtype=dtype), VelocityVerlet(SPACING), PowerBlend(3.0), bridge=bridge.to(dtype))


def with_learned_blend(dtype: torch.dtype) -> BidirectionalODE:
    """A lambda that leans forward."""
    shape = LearnedBlend(HYDROGENS, [GAP])
    shape.coefficients.copy_(torch.linspace(-0.4, 1.1, shape.coefficients.shape[-1]).clamp(0.0, 1.0))
    shape.ready.fill_(value=True)
    return BidirectionalODE(MorseField(dtype=dtype), VelocityVerlet(SPACING), shape.to(dtype))


def whole_gap(dtype: torch.dtype) -> WholeGapRNN:
    torch.manual_seed(0)
    network = WholeGapRNN(HYDROGENS, SPACING, Architecture(Cell.LSTM, width=8, depth=2))
    network.correction.fill_(0.02)
    return network.to(dtype)


CASES = [
    Case("linear", lambda dtype: Linear()),
    Case("cubic spline", lambda dtype: NaturalCubicSpline()),
    Case("cubic Hermite", lambda dtype: CubicHermite()),
    Case("quintic Hermite", lambda dtype: QuinticHermite()),
    Case("forward", lambda dtype: ForwardODE(MorseField(dtype=dtype), VelocityVerlet(SPACING)), ("start",)),
    Case("backward", lambda dtype: BackwardODE(MorseField(dtype=dtype), VelocityVerlet(SPACING)), ("end",)),
    Case(
        "Verlet, power",
        lambda dtype: BidirectionalODE(MorseField(dtype=dtype), VelocityVerlet(SPACING), PowerBlend(3.0)),
    ),
    Case("Verlet, learned", with_learned_blend),
    Case("Verlet, corrected", corrected),
    Case("Verlet, corrected by a network", equivariantly_corrected),
    Case("Verlet, bridged", bridged),
    Case("Verlet, bridged in two rounds", lambda dtype: bridged(dtype, rounds=1)),
    Case(
        "Blanes-Moan, compact, reversible",
        lambda dtype: BidirectionalODE(
            MorseField(dtype=dtype), BlanesMoan(SPACING, ReversibleAdjoint()), CompactBlend(0.2)
        ),
    ),
    Case(
        "rk4, compact",
        lambda dtype: BidirectionalODE(MorseField(dtype=dtype), RK4(0.1), CompactBlend(0.3)),
        smooth=False,
    ),
    Case(
        "Verlet, quintic, adjoint",
        lambda dtype: BidirectionalODE(
            MorseField(dtype=dtype), VelocityVerlet(SPACING, ContinuousAdjoint("rk4", step=0.1)), QuinticBlend()
        ),
    ),
    Case(
        "rk4, linear",
        lambda dtype: BidirectionalODE(MorseField(dtype=dtype), RK4(0.1), LinearBlend()),
        smooth=False,
    ),
    Case(
        "midpoint, power",
        lambda dtype: BidirectionalODE(MorseField(dtype=dtype), Midpoint(0.03), PowerBlend(2.0)),
        smooth=False,
    ),
    Case(
        "dopri5, power",
        lambda dtype: BidirectionalODE(MorseField(dtype=dtype), adaptive(), PowerBlend(3.0)),
        smooth=False,
        independent=False,
    ),
    Case(
        "friction",
        lambda dtype: BidirectionalODE(DampedField().to(dtype), RK4(0.1), PowerBlend(3.0)),
        smooth=False,
    ),
    Case("LSTM, forward", lambda dtype: ForwardRNN(rollout(dtype, Cell.LSTM, LabFrame())), ("start",)),
    Case("LSTM, backward", lambda dtype: BackwardRNN(rollout(dtype, Cell.LSTM, LabFrame())), ("end",)),
    Case("LSTM, linear", lambda dtype: BidirectionalRNN(rollout(dtype, Cell.LSTM, LabFrame()), LinearBlend())),
    Case("GRU, body frame", lambda dtype: BidirectionalRNN(rollout(dtype, Cell.GRU, BodyFrame()), QuinticBlend())),
    Case("RNN, power", lambda dtype: BidirectionalRNN(rollout(dtype, Cell.RNN, LabFrame()), PowerBlend(3.0))),
    Case("LSTM, whole gap", whole_gap),
    *(learned(name) for name in LEARNED),
    Case(
        "calculator",
        lambda dtype: BidirectionalODE(CalculatorField(HYDROGENS, EMT()), VelocityVerlet(SPACING), PowerBlend(3.0)),
    ),
]

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def anchors_of(dtype: torch.dtype = torch.float64, batch: int = 3) -> Anchors:
    """Windows cut out of an accurate Morse trajectory, with everything that an interpolator may ask for."""
    field = MorseField()
    times = GAP * torch.arange(26, dtype=torch.float64)
    with torch.no_grad():
        truth = solve(field, triangle(batch), times, RK4(0.3))
        states = [PhaseState(truth.positions[k], truth.velocities[k]) for k in (12, 13)]
        first, second = (field(state).to(dtype) for state in states)
    start, end = (state.to(dtype) for state in states)
    return Anchors(start, end, GAP, first, second, truth.positions.to(dtype))


ANCHORS = {dtype: anchors_of(dtype) for dtype in (torch.float32, torch.float64)}


def fractions(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return GAP * torch.tensor(values, dtype=dtype)


@every
@both_precisions
def test_meets_its_anchors_bit_for_bit(case, dtype):
    anchors = ANCHORS[dtype]
    path = case.make(dtype)(anchors, torch.linspace(0.0, GAP, 8, dtype=dtype))
    assert path.positions.dtype == path.velocities.dtype == dtype
    if "start" in case.meets:
        assert torch.equal(path.positions[0], anchors.start.positions)
    if "end" in case.meets:
        assert torch.equal(path.positions[-1], anchors.end.positions)


@every
@both_precisions
def test_gives_a_finite_state_at_every_time_asked_for(case, dtype):
    anchors = ANCHORS[dtype]
    for times in (fractions(0.137, 0.5, 0.9, dtype=dtype), fractions(0.31, dtype=dtype), fractions(0.0, dtype=dtype)):
        path = case.make(dtype)(anchors, times)
        assert path.positions.shape == path.velocities.shape == (len(times), *anchors.start.positions.shape)
        assert bool(torch.isfinite(path.positions).all() & torch.isfinite(path.velocities).all())


@every
def test_a_state_does_not_depend_on_which_others_are_asked_for(case):
    model, anchors = case.make(torch.float64), ANCHORS[torch.float64]
    times = fractions(0.0, 0.137, 1 / 3, 0.5, 0.9)
    together = model(anchors, times)
    for k in range(len(times)):
        alone = model(anchors, times[k : k + 1])
        torch.testing.assert_close(alone.positions[0], together.positions[k], rtol=0, atol=1e-13)
        torch.testing.assert_close(alone.velocities[0], together.velocities[k], rtol=0, atol=1e-13)


@every
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.5, 0.2), "increase"),
        ((0.2, 0.2), "increase"),
        ((-0.1, 0.5), "must lie in"),
        ((0.5, 1.1), "must lie in"),
        ((0.5, float("nan")), "finite"),
        ((), "at least one"),
    ],
)
def test_refuses_times_that_are_unsorted_or_outside_the_gap(case, values, message):
    with pytest.raises(DataError, match=message):
        case.make(torch.float64)(ANCHORS[torch.float64], fractions(*values))


@every
def test_a_batch_gives_what_one_by_one_gives(case):
    model, times, anchors = case.make(torch.float64), fractions(0.2, 0.55), ANCHORS[torch.float64]
    together = model(anchors, times)
    tolerance = 1e-13 if case.independent else 1e-5
    for k in range(len(anchors.start.positions)):
        alone = model(window(anchors, k), times)
        torch.testing.assert_close(alone.positions, together.positions[:, k : k + 1], rtol=0, atol=tolerance)
        torch.testing.assert_close(alone.velocities, together.velocities[:, k : k + 1], rtol=0, atol=tolerance)


def window(anchors: Anchors, k: int) -> Anchors:
    pick = slice(k, k + 1)
    return replace(
        anchors,
        start=PhaseState(anchors.start.positions[pick], anchors.start.velocities[pick]),
        end=PhaseState(anchors.end.positions[pick], anchors.end.velocities[pick]),
        start_acceleration=anchors.start_acceleration[pick],
        end_acceleration=anchors.end_acceleration[pick],
        context=anchors.context[:, pick],
    )


@every
def test_single_precision_agrees_with_double(case):
    times = fractions(0.2, 0.55, 0.8)
    double = case.make(torch.float64)(ANCHORS[torch.float64], times)
    single = case.make(torch.float32)(ANCHORS[torch.float32], times.to(torch.float32))
    torch.testing.assert_close(single.positions.double(), double.positions, rtol=0, atol=1e-5)
    torch.testing.assert_close(single.velocities.double(), double.velocities, rtol=0, atol=1e-5)


@every
def test_weights_can_be_saved_and_loaded(case, tmp_path):
    model, times, anchors = case.make(torch.float64), fractions(0.2, 0.55), ANCHORS[torch.float64]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    fresh = case.make(torch.float64)
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(fresh(anchors, times).positions, model(anchors, times).positions)


@every
def test_gradients_reach_every_parameter(case):
    model, times, anchors = case.make(torch.float64), fractions(0.2, 0.55), ANCHORS[torch.float64]
    path = model(anchors, times)
    parameters = dict(model.named_parameters())
    if not parameters:
        return
    (path.positions.sin().sum() + path.velocities.sin().sum()).backward()
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert bool((parameter.grad != 0).any()), name


@every
def test_a_shifted_window_gives_a_shifted_path(case):
    if case.name == "friction":
        pytest.skip("its spring is fixed to the origin")
    model, times, anchors = case.make(torch.float64), fractions(0.2, 0.55), ANCHORS[torch.float64]
    shift = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
    moved = replace(
        anchors,
        start=PhaseState(anchors.start.positions + shift, anchors.start.velocities),
        end=PhaseState(anchors.end.positions + shift, anchors.end.velocities),
        context=anchors.context + shift,
    )
    path, other = model(anchors, times), model(moved, times)
    tolerance = 1e-12 if case.independent else 1e-5
    torch.testing.assert_close(other.positions, path.positions + shift, rtol=0, atol=tolerance)
    torch.testing.assert_close(other.velocities, path.velocities, rtol=0, atol=tolerance)


@every
def test_the_velocity_is_the_derivative_of_the_positions(case):
    model, anchors, step = case.make(torch.float64), ANCHORS[torch.float64], 1e-4
    middle = fractions(0.07, 0.29, 0.41, 0.62, 0.88)
    with torch.no_grad():
        path = model(anchors, torch.stack((middle - step, middle, middle + step), dim=1).reshape(-1))
    x, v = path.positions.unflatten(0, (-1, 3)), path.velocities.unflatten(0, (-1, 3))
    difference = (x[:, 2] - x[:, 0]) / (2 * step)
    torch.testing.assert_close(v[:, 1], difference, rtol=0, atol=1e-8 if case.smooth else 5e-5)


@every
def test_says_what_it_needs(case):
    model, anchors, times = case.make(torch.float64), ANCHORS[torch.float64], fractions(0.2, 0.55)
    path = model(anchors, times)
    bare = anchors
    if not model.needs_velocities:
        rest = torch.zeros_like(anchors.start.positions)
        bare = replace(
            bare, start=PhaseState(anchors.start.positions, rest), end=PhaseState(anchors.end.positions, rest)
        )
    if not model.needs_forces:
        bare = replace(bare, start_acceleration=None, end_acceleration=None)
    if not model.context:
        bare = replace(bare, context=None)
    assert torch.equal(model(bare, times).positions, path.positions)
