"""Fields that are the gradient of a learned energy: forces, conservation, and gradients through the gradient."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from analytic import triangle
from small_fields import conservative, hamiltonian
from torch import Tensor

from neuralmd.fields.base import Field
from neuralmd.fields.conservative import ConservativeField
from neuralmd.ode.adjoints import ContinuousAdjoint
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, Dopri5, VelocityVerlet
from neuralmd.system import PhaseState
from neuralmd.units import ACCELERATION

TIMES = torch.tensor([0.0, 0.8, 1.6, 2.0], dtype=torch.float64)
MASS = 1.008


def differences(energy, inputs: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences of the energy of one configuration."""
    slopes = torch.empty_like(inputs)
    for index in range(inputs.numel()):
        shift = torch.zeros_like(inputs).view(-1)
        shift[index] = step
        up, down = energy(inputs + shift.view_as(inputs)), energy(inputs - shift.view_as(inputs))
        slopes.view(-1)[index] = float((up - down).detach()) / (2 * step)
    return slopes


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_force_is_minus_the_slope_of_the_energy(layers):
    field, state = conservative(layers=layers), triangle(batch=1)
    forces = field(state).detach() * MASS / ACCELERATION
    assert forces.abs().max() > 1e-3
    torch.testing.assert_close(forces, -differences(field.energy, state.positions), rtol=1e-6, atol=1e-8)


def test_the_force_field_has_no_curl_no_net_force_and_no_torque():
    field, state = conservative(), triangle(batch=1)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: field(PhaseState(x, state.velocities)), state.positions, create_graph=False
    ).reshape(9, 9)
    assert jacobian.abs().max() > 1e-3
    torch.testing.assert_close(jacobian, jacobian.T, rtol=0, atol=1e-14)
    forces = field(state).detach()
    assert forces.sum(1).abs().max() < 1e-15
    assert torch.linalg.cross(state.positions, forces).sum(1).abs().max() < 1e-15


@pytest.mark.parametrize("kinetic", ["learned", "exact"])
def test_the_flow_of_a_hamiltonian_is_its_symplectic_gradient(kinetic):
    field, state = hamiltonian(kinetic=kinetic), triangle(batch=1)
    velocities, accelerations = (rate.detach() for rate in field.rates(state))
    by_position = differences(lambda x: field.energy(PhaseState(x, state.velocities)), state.positions)
    by_velocity = differences(lambda v: field.energy(PhaseState(state.positions, v)), state.velocities)
    torch.testing.assert_close(velocities, by_velocity * ACCELERATION / MASS, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(accelerations, -by_position * ACCELERATION / MASS, rtol=1e-6, atol=1e-9)
    assert torch.equal(field.velocity(state), velocities)
    assert torch.equal(field(state), accelerations)
    assert torch.equal(velocities, state.velocities) == (kinetic == "exact")


def drift(field, energies, solver, span: float = 20.0) -> float:
    """The largest change of the energy along a solution, over the spread of the energy between configurations."""
    with torch.no_grad():
        path = solve(field, triangle(batch=3), torch.linspace(0.0, span, 11, dtype=torch.float64), solver)
        along = torch.stack([energies(PhaseState(*each)) for each in zip(path.positions, path.velocities, strict=True)])
    return float((along - along[0]).abs().max() / along[0].std())


def total_energy(field: ConservativeField, state: PhaseState) -> Tensor:
    return field.energy(state.positions) + 0.5 * MASS * state.velocities.square().sum((1, 2)) / ACCELERATION


def test_verlet_keeps_the_learned_energy_to_second_order():
    field = conservative()
    coarse, fine = (
        drift(field, lambda state: total_energy(field, state), VelocityVerlet(step)) for step in (0.5, 0.25)
    )
    assert coarse < 0.2
    assert coarse / fine == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("kinetic", ["learned", "exact"])
def test_rk4_keeps_the_hamiltonian_to_its_order(kinetic):
    field = hamiltonian(kinetic=kinetic)
    coarse, fine = (drift(field, field.energy, RK4(step)) for step in (2.0, 1.0))
    assert coarse < 0.05
    assert math.log2(coarse / fine) > 3.7


@pytest.mark.parametrize("solver", [RK4(0.1), Dopri5(1e-9, 1e-10)])
def test_a_hamiltonian_solved_forward_and_backward_returns(solver):
    field, start = hamiltonian(), triangle(batch=2)
    with torch.no_grad():
        there = solve(field, start, TIMES, solver)
        back = solve(field, PhaseState(there.positions[-1], there.velocities[-1]), TIMES.flip(0), solver)
    assert (there.positions[-1] - start.positions).abs().max() > 1e-3
    torch.testing.assert_close(back.positions[-1], start.positions, rtol=0, atol=1e-8)
    torch.testing.assert_close(back.velocities[-1], start.velocities, rtol=0, atol=1e-8)


def loss_of(field: Field, state: PhaseState, solver) -> Tensor:
    solution = solve(field, state, TIMES, solver)
    weights = torch.arange(1.0, 4.0, dtype=torch.float64)
    return (solution.positions[1:] * weights).pow(2).sum() + 3 * (solution.velocities[1:] * weights).sum()


def slopes(field: Field, solver) -> Tensor:
    start = triangle(batch=2)
    positions, velocities = start.positions.requires_grad_(), start.velocities.requires_grad_()
    inputs = [positions, velocities, *field.parameters()]
    found = torch.autograd.grad(loss_of(field, PhaseState(positions, velocities), solver), inputs)
    return torch.cat([part.reshape(-1) for part in found])


@pytest.mark.parametrize(
    ("make", "solver"),
    [(conservative, VelocityVerlet(0.05)), (conservative, RK4(0.2)), (hamiltonian, RK4(0.2))],
    ids=["conservative, Verlet", "conservative, rk4", "Hamiltonian, rk4"],
)
def test_adjoint_backpropagation_and_finite_differences_agree_through_two_derivatives(make, solver):
    field = make()
    backpropagated = slopes(field, solver)
    adjoined = slopes(field, replace(solver, adjoint=ContinuousAdjoint("rk4", step=0.2)))
    torch.testing.assert_close(adjoined, backpropagated, rtol=1e-3, atol=2e-5 * float(backpropagated.abs().max()))
    torch.manual_seed(1)
    parameters = list(field.parameters())
    directions = [torch.randn_like(parameter) for parameter in parameters]
    losses = []
    with torch.no_grad():
        for step in (1e-5, -2e-5):
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
            losses.append(float(loss_of(field, triangle(batch=2), solver)))
    along = sum(
        float((part * direction.reshape(-1)).sum())
        for part, direction in zip(
            backpropagated[36:].split([each.numel() for each in parameters]), directions, strict=True
        )
    )
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(along, rel=1e-5)


@pytest.mark.parametrize("make", [conservative, hamiltonian])
def test_what_nobody_differentiates_keeps_no_graph(make):
    field, state = make(), triangle()
    assert field(state).requires_grad
    with torch.no_grad():
        quiet = field(PhaseState(state.positions.requires_grad_(), state.velocities))
    assert not quiet.requires_grad
    field.requires_grad_(requires_grad=False)
    assert not field(PhaseState(state.positions.detach(), state.velocities)).requires_grad
    torch.testing.assert_close(field(state), quiet, rtol=1e-10, atol=1e-14)
