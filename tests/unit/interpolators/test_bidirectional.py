from __future__ import annotations

import pytest
import torch
from analytic import BrokenField, DampedField, HarmonicField, MorseField, triangle

from neuralmd.data.anchors import Anchors
from neuralmd.errors import SolverError
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import CompactBlend, PowerBlend
from neuralmd.interpolators.one_way import BackwardODE, ForwardODE
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, Dopri5, VelocityVerlet
from neuralmd.system import PhaseState

GAP = 4.0


def anchors_of(field, batch: int = 2) -> Anchors:
    with torch.no_grad():
        end = solve(field, triangle(batch), torch.tensor([0.0, GAP], dtype=torch.float64), RK4(0.05))
    return Anchors(triangle(batch), PhaseState(end.positions[-1], end.velocities[-1]), GAP)


class CountingField(HarmonicField):
    """Counts its evaluations, in configurations."""

    calls = 0
    configurations = 0

    def forward(self, state):
        self.calls += 1
        self.configurations += len(state.positions)
        return super().forward(state)


@pytest.mark.parametrize(
    "times",
    [torch.linspace(0.2, 3.8, 19), torch.linspace(0.0, GAP, 21), torch.tensor([0.9]), torch.arange(1, 20) * 0.2],
)
def test_both_directions_are_one_solve_of_a_double_batch(times):
    field = CountingField()
    with torch.no_grad():
        BidirectionalODE(field, VelocityVerlet(0.2), PowerBlend())(anchors_of(HarmonicField()), times)
    assert (field.calls, field.configurations) == (21, 21 * 4)


@pytest.mark.parametrize(("margin", "steps"), [(0.0, 20), (0.2, 16), (0.25, 15), (0.33, 14), (0.5 - 1e-9, 11)])
def test_a_compact_blend_takes_fewer_evaluations_and_the_same_steps(margin, steps):
    field, anchors, times = CountingField(), anchors_of(HarmonicField()), torch.linspace(0.0, GAP, 83)
    blend = CompactBlend(margin)
    model = BidirectionalODE(field, VelocityVerlet(0.2), blend)
    with torch.no_grad():
        path = model(anchors, times)
        assert (field.calls, field.configurations) == (steps + 1, (steps + 1) * 4)
        forward, backward = model.solutions(anchors, times)
    weight = blend.weight(times.double() / GAP)[:, None, None, None]
    whole = (1 - weight) * forward.positions + weight * backward.positions
    torch.testing.assert_close(path.positions, whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize("field", [MorseField(), DampedField()])
@pytest.mark.parametrize("solver", [RK4(0.15), Dopri5(), VelocityVerlet(0.15)])
@pytest.mark.parametrize("times", [[0.5, 2.0, 3.5], [0.0, 0.1, 0.77, 3.9], [1.0]])
def test_solutions_are_those_of_each_direction_alone(field, solver, times):
    if field.depends_on_velocity and isinstance(solver, VelocityVerlet):
        pytest.skip("velocity Verlet takes no friction")
    anchors, times = anchors_of(field), torch.tensor(times, dtype=torch.float64)
    with torch.no_grad():
        together = BidirectionalODE(field, solver, PowerBlend()).solutions(anchors, times)
        alone = (ForwardODE(field, solver)(anchors, times), BackwardODE(field, solver)(anchors, times))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.positions, other.positions, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.velocities, other.velocities, rtol=0, atol=1e-12)


@pytest.mark.parametrize("field", [HarmonicField(), DampedField()])
def test_both_solutions_follow_the_true_path(field):
    anchors, times = anchors_of(field), torch.linspace(0.3, 3.7, 5, dtype=torch.float64)
    with torch.no_grad():
        for path in BidirectionalODE(field, RK4(0.05), PowerBlend()).solutions(anchors, times):
            for k, time in enumerate(times.tolist()):
                exact = field.exact(triangle(), time)
                torch.testing.assert_close(path.positions[k], exact.positions, rtol=0, atol=1e-6)
                torch.testing.assert_close(path.velocities[k], exact.velocities, rtol=0, atol=1e-6)


def test_the_blend_is_better_than_either_direction_when_the_field_is_wrong():
    anchors, times = anchors_of(HarmonicField(0.6)), torch.linspace(0.2, 3.8, 19, dtype=torch.float64)
    model = BidirectionalODE(HarmonicField(0.62), VelocityVerlet(0.02), PowerBlend())
    exact = torch.stack([HarmonicField(0.6).exact(triangle(), time).positions for time in times.tolist()])
    with torch.no_grad():
        errors = [(path.positions - exact).abs().mean() for path in model.solutions(anchors, times)]
        blended = (model(anchors, times).positions - exact).abs().mean()
    assert float(blended) < 0.6 * float(min(errors))


def test_only_the_field_has_weights():
    model = BidirectionalODE(MorseField(), VelocityVerlet(0.5), PowerBlend())
    assert set(model.state_dict()) == {"field.depth", "field.alpha", "field.length"}


def test_a_failing_solve_is_reported():
    state = PhaseState(torch.zeros(1, 1, 3), torch.ones(1, 1, 3))
    with pytest.raises(SolverError, match=r"velocity_verlet .* 2 of 2"):
        BidirectionalODE(BrokenField(), VelocityVerlet(0.1), PowerBlend())(
            Anchors(state, state, GAP), torch.tensor([1.0, 3.0])
        )
