"""Adjoint gradients, backpropagated gradients and finite differences agree, for parameters and initial states."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from analytic import DampedField, MorseField, triangle
from torch.func import functional_call

from neuralmd.ode.adjoints import ContinuousAdjoint
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, Dopri5, Midpoint, VelocityVerlet
from neuralmd.system import PhaseState

TIGHT = Dopri5(1e-10, 1e-11)
FORWARD = torch.tensor([0.0, 0.8, 1.6, 2.0], dtype=torch.float64)


def loss_of(field, state: PhaseState, times: torch.Tensor, solver) -> torch.Tensor:
    solution = solve(field, state, times, solver)
    weights = torch.arange(1.0, 4.0, dtype=torch.float64)
    return (solution.positions[1:] * weights).pow(2).sum() + 3 * (solution.velocities[1:] * weights).sum()


def gradients(field, times: torch.Tensor, solver) -> torch.Tensor:
    start = triangle(batch=2)
    positions, velocities = start.positions.requires_grad_(), start.velocities.requires_grad_()
    inputs = [positions, velocities, *field.parameters()]
    found = torch.autograd.grad(loss_of(field, PhaseState(positions, velocities), times, solver), inputs)
    return torch.cat([part.reshape(-1) for part in found])


def difference(times: torch.Tensor, solver, adjoint: ContinuousAdjoint) -> float:
    """Of the adjoint's gradients from the backpropagated ones, relative to the largest of these."""
    backpropagated = gradients(MorseField(), times, solver)
    adjoined = gradients(MorseField(), times, replace(solver, adjoint=adjoint))
    return float((adjoined - backpropagated).abs().max() / backpropagated.abs().max())


@pytest.mark.parametrize(("solver", "order"), [(VelocityVerlet, 2), (Midpoint, 2), (RK4, 4)])
@pytest.mark.parametrize("times", [FORWARD, FORWARD.flip(0)])
def test_adjoint_agrees_with_backpropagation_to_the_order_of_the_solver(solver, order, times):
    accurate = ContinuousAdjoint("rk4", step=0.025)
    coarse, fine = (difference(times, solver(step), accurate) for step in (0.2, 0.1))
    assert coarse < 5e-3
    # rk4's next term of the error, of fifth order, still shows at these steps: 4.4 and 4.3 at 0.2 to 0.1 to 0.05
    assert order - 0.1 < math.log2(coarse / fine) < order + 0.5


@pytest.mark.parametrize(
    ("adjoint", "tolerance"),
    [
        (ContinuousAdjoint("rk4", step=0.1), 1e-6),
        (ContinuousAdjoint("midpoint", step=0.02), 1e-4),
        (ContinuousAdjoint("dopri5", rtol=1e-9, atol=1e-10), 1e-9),
        (ContinuousAdjoint("dopri5", rtol=1e-9, atol=1e-10, seminorm=False), 1e-9),
    ],
)
def test_every_adjoint_agrees_with_backpropagation_through_an_accurate_solve(adjoint, tolerance):
    assert difference(FORWARD, TIGHT, adjoint) < tolerance


def test_adjoint_works_for_a_field_with_friction():
    solver = RK4(0.05)
    backpropagated = gradients(DampedField(), FORWARD.flip(0), solver)
    adjoined = gradients(DampedField(), FORWARD.flip(0), replace(solver, adjoint=ContinuousAdjoint("rk4", step=0.05)))
    torch.testing.assert_close(adjoined, backpropagated, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("solver", [VelocityVerlet(0.25), Midpoint(0.25), RK4(0.25)])
def test_backpropagation_agrees_with_finite_differences(solver):
    field, state = MorseField(), triangle(batch=1)
    names = [name for name, _ in field.named_parameters()]

    class Loss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.field = field

        def forward(self, positions: torch.Tensor, velocities: torch.Tensor) -> torch.Tensor:
            return loss_of(self.field, PhaseState(positions, velocities), FORWARD, solver)

    module = Loss()

    def loss(positions: torch.Tensor, velocities: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        named = {f"field.{name}": value for name, value in zip(names, parameters, strict=True)}
        return functional_call(module, named, (positions, velocities))

    inputs = [state.positions, state.velocities, *(value.detach() for value in field.parameters())]
    assert torch.autograd.gradcheck(loss, tuple(value.clone().requires_grad_() for value in inputs))


def test_adaptive_gradients_agree_with_finite_differences():
    field = MorseField()
    for solver in (TIGHT, replace(TIGHT, adjoint=ContinuousAdjoint("dopri5", rtol=1e-10, atol=1e-11))):
        slope = float(gradients(field, FORWARD, solver)[-1])  # with respect to the bond length
        losses = []
        for shift in (1e-4, -1e-4):
            moved = MorseField(length=1.2 + shift)
            losses.append(float(loss_of(moved, triangle(), FORWARD, TIGHT).detach()))
        assert slope == pytest.approx((losses[0] - losses[1]) / 2e-4, rel=1e-5)


def test_backward_can_run_twice_through_the_adjoint():
    field = MorseField()
    loss = loss_of(field, triangle(), FORWARD, Dopri5(1e-8, 1e-9, adjoint=ContinuousAdjoint("dopri5")))
    first = torch.autograd.grad(loss, field.length, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(loss, field.length)[0])


def test_the_seminorm_saves_evaluations_in_the_backward_pass():
    calls = []
    for seminorm in (True, False):
        field = MorseField()
        adjoint = ContinuousAdjoint("dopri5", rtol=1e-7, atol=1e-8, seminorm=seminorm)
        loss = loss_of(field, triangle(), FORWARD, VelocityVerlet(0.2, adjoint=adjoint))
        count = []
        field.register_forward_hook(lambda *_, count=count: count.append(1))
        loss.backward()
        calls.append(len(count))
    assert calls[0] < calls[1]
