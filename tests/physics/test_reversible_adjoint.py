"""The reversible adjoint: the gradients of backpropagation, from states that are found again by undoing the steps."""

from __future__ import annotations

import pytest
import torch
from analytic import MorseField, triangle
from lightning_fabric import Fabric
from small_fields import HYDROGENS, conservative, ready
from torch import Tensor

from neuralmd.data.anchors import Anchors
from neuralmd.errors import SolverError
from neuralmd.fields.base import Field
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.adjoints import ReversibleAdjoint
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import BlanesMoan, VelocityVerlet
from neuralmd.system import Accelerations, PhaseState

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
ON_THE_GRID = torch.linspace(0.0, 8.0, 9, dtype=torch.float64)
OFF_THE_GRID = torch.tensor([0.0, 0.03, 1.0, 1.1, 1.15, 4.2, 7.99, 8.0], dtype=torch.float64)

solvers = pytest.mark.parametrize("solver", [VelocityVerlet, BlanesMoan])
precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def loss_of(field: Field, state: PhaseState, times: Tensor, solver) -> Tensor:
    """A loss in which each number of the solution has a weight of its own."""
    solution = solve(field, state, times, solver)
    generator = torch.Generator().manual_seed(1)
    loss = torch.zeros((), dtype=torch.float64)
    for curve in (solution.positions, solution.velocities, solution.accelerations):
        loss = loss + (torch.randn(curve.shape, generator=generator, dtype=torch.float64) * curve.sin()).sum()
    return loss


def gradients(field: Field, times: Tensor, solver) -> dict[str, Tensor]:
    start = triangle(2, next(field.parameters()).dtype)
    inputs = {"x": start.positions.requires_grad_(), "v": start.velocities.requires_grad_()}
    inputs |= {name: weight for name, weight in field.named_parameters() if weight.requires_grad}
    found = torch.autograd.grad(loss_of(field, start, times, solver), list(inputs.values()))
    return dict(zip(inputs, found, strict=True))


def compare(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    for name, gradient in expected.items():
        assert found[name].dtype == gradient.dtype
        assert float((found[name] - gradient).abs().max()) < tolerance * float(gradient.abs().max()), name


@solvers
@precisions
@pytest.mark.parametrize("times", [ON_THE_GRID, OFF_THE_GRID, -ON_THE_GRID, -OFF_THE_GRID, ON_THE_GRID[[0, 8]]])
@pytest.mark.parametrize("checkpoints", [0, 3, 1000])
def test_gradients_are_those_of_backpropagation(solver, dtype, times, checkpoints):
    field = MorseField(dtype=dtype)
    expected = gradients(field, times, solver(0.25))
    compare(gradients(field, times, solver(0.25, ReversibleAdjoint(checkpoints))), expected, TOLERANCE[dtype])


def equivariant(dtype: torch.dtype) -> Field:
    torch.manual_seed(0)
    return ready(EquivariantField(HYDROGENS, channels=4, l_max=1, layers=1), dtype)


@pytest.mark.parametrize("make", [equivariant, conservative])
@solvers
@precisions
def test_gradients_of_learned_fields_are_those_of_backpropagation(make, solver, dtype):
    field = make(dtype)
    expected = gradients(field, OFF_THE_GRID, solver(1.0))
    compare(gradients(field, OFF_THE_GRID, solver(1.0, ReversibleAdjoint())), expected, TOLERANCE[dtype])


@precisions
def test_gradients_through_both_directions_and_the_blend(dtype):
    def of(adjoint: ReversibleAdjoint | None) -> dict[str, Tensor]:
        field, state, other = MorseField(dtype=dtype), triangle(2, dtype), triangle(2, dtype, seed=1)
        model = BidirectionalODE(field, VelocityVerlet(0.25, adjoint), PowerBlend(3.0))
        path = model(Anchors(state, other, 4.0), torch.tensor([0.5, 1.1, 2.0, 3.75], dtype=dtype))
        (path.positions.sin().sum() + path.velocities.sin().sum()).backward()
        return {name: weight.grad for name, weight in field.named_parameters()}

    compare(of(ReversibleAdjoint()), of(None), TOLERANCE[dtype])


class Watched(MorseField):
    """Notes where it is evaluated, and may be as unsteady as a sum on a GPU."""

    def __init__(self, dtype: torch.dtype, jitter: float = 0.0) -> None:
        super().__init__(dtype=dtype)
        self.jitter = jitter
        self.seen: list[Tensor] = []

    def forward(self, state: PhaseState) -> Accelerations:
        self.seen.append(state.positions.detach().clone())
        acceleration = super().forward(state)
        return acceleration * (1.0 + self.jitter * torch.randn_like(acceleration))


def drift(field: Watched, solver, span: float) -> float:
    """The largest distance of a state that was found again from what it was."""
    times = torch.tensor([0.0, span], dtype=torch.float64)
    loss_of(field, triangle(2, field.depth.dtype), times, solver).backward()
    half = len(field.seen) // 2
    there, back = torch.stack(field.seen[:half]), torch.stack(field.seen[half:]).flip(0)
    return float((there - back).abs().max())


@precisions
@pytest.mark.parametrize(
    ("solver", "steps"), [(VelocityVerlet, 20), (VelocityVerlet, 2000), (BlanesMoan, 20), (BlanesMoan, 200)]
)
def test_states_are_found_again_without_a_checkpoint(solver, dtype, steps):
    """Summed up in float64, they differ by its rounding, which now and then turns the last bit that a field sees."""
    tolerance = {torch.float32: 5e-7 if steps < 2000 else 5e-5, torch.float64: 1e-11}[dtype]
    assert drift(Watched(dtype), solver(0.2, ReversibleAdjoint(checkpoints=0)), 0.2 * steps) < tolerance


def test_checkpoints_keep_the_drift_of_float32_at_its_last_bits():
    assert drift(Watched(torch.float32), VelocityVerlet(0.2, ReversibleAdjoint()), 400.0) < 1e-6


def test_checkpoints_bound_the_drift_of_an_unsteady_field():
    torch.manual_seed(0)
    far, near = (
        drift(Watched(torch.float64, jitter=1e-7), VelocityVerlet(0.2, ReversibleAdjoint(count)), 200.0)
        for count in (0, 20)
    )
    assert near < 1e-6
    assert near < 0.1 * far


@pytest.mark.parametrize("adjoint", [ReversibleAdjoint(), ReversibleAdjoint(0)])
def test_each_evaluation_is_done_once_more(adjoint):
    field = Watched(torch.float64)
    loss_of(field, triangle(), ON_THE_GRID, BlanesMoan(1.0, adjoint)).backward()
    assert len(field.seen) == 2 * 49


@pytest.mark.parametrize("curve", ["positions", "velocities", "accelerations"])
def test_one_curve_alone_can_be_differentiated(curve):
    field, times = MorseField(), OFF_THE_GRID[:-1]
    for solver in (VelocityVerlet(0.5), VelocityVerlet(0.5, ReversibleAdjoint())):
        solution = solve(field, triangle(), times, solver)
        found = torch.autograd.grad(getattr(solution, curve)[1:].sin().sum(), field.length)[0]
        if solver.adjoint is None:
            expected = found
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_gradients_of_a_model_in_fabrics_hands():
    class Loss(torch.nn.Module):
        def __init__(self, adjoint: ReversibleAdjoint | None) -> None:
            super().__init__()
            self.field, self.solver = MorseField(), VelocityVerlet(0.5, adjoint)

        def forward(self, state: PhaseState) -> Tensor:
            return loss_of(self.field, state, ON_THE_GRID, self.solver)

    found = []
    for adjoint in (None, ReversibleAdjoint()):
        fabric, loss = Fabric(accelerator="cpu", devices=1), Loss(adjoint)
        wrapped, optimizer = fabric.setup(loss, torch.optim.SGD(loss.parameters(), lr=1e-3))
        fabric.backward(wrapped(triangle()))
        optimizer.step()
        found.append(torch.stack([weight.detach() for weight in loss.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=0)
    assert not torch.equal(found[1], torch.stack([weight.detach() for weight in MorseField().parameters()]))


def test_frozen_weights_get_no_gradient():
    field = MorseField()
    field.depth.requires_grad_(requires_grad=False)
    loss_of(field, triangle(), ON_THE_GRID, VelocityVerlet(0.5, ReversibleAdjoint())).backward()
    assert field.depth.grad is None
    assert field.length.grad is not None
    field.requires_grad_(requires_grad=False)
    assert not loss_of(field, triangle(), ON_THE_GRID, VelocityVerlet(0.5, ReversibleAdjoint())).requires_grad


def test_a_field_without_weights_passes_gradients_to_its_start():
    class Springs(Field):
        def forward(self, state: PhaseState) -> Accelerations:
            return -0.36 * state.positions

    start = triangle()
    found = []
    for adjoint in (None, ReversibleAdjoint()):
        x, v = start.positions.clone().requires_grad_(), start.velocities.clone().requires_grad_()
        loss_of(Springs(), PhaseState(x, v), ON_THE_GRID, VelocityVerlet(0.5, adjoint)).backward()
        found.append(torch.stack((x.grad, v.grad)))
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-13)


def test_backward_can_run_twice():
    field = MorseField()
    loss = loss_of(field, triangle(), ON_THE_GRID, VelocityVerlet(0.5, ReversibleAdjoint()))
    first = torch.autograd.grad(loss, field.length, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(loss, field.length)[0])


def test_a_second_derivative_is_refused_in_a_sentence():
    field = MorseField()
    loss = loss_of(field, triangle(), ON_THE_GRID, VelocityVerlet(0.5, ReversibleAdjoint()))
    with pytest.raises(SolverError, match="first derivatives only"):
        torch.autograd.grad(loss, field.length, create_graph=True)


def test_weights_that_change_before_the_backward_pass_are_noticed():
    field = MorseField()
    loss = loss_of(field, triangle(), ON_THE_GRID, VelocityVerlet(0.5, ReversibleAdjoint()))
    with torch.no_grad():
        field.length.mul_(1.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_weights_that_are_exchanged_before_the_backward_pass_are_noticed():
    field = MorseField()
    others = {name: weight.detach().clone().requires_grad_() for name, weight in field.named_parameters()}

    class Loss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.field = field

        def forward(self) -> Tensor:
            return loss_of(self.field, triangle(), ON_THE_GRID, VelocityVerlet(0.5, ReversibleAdjoint()))

    loss = torch.func.functional_call(Loss(), {f"field.{name}": other for name, other in others.items()}, ())
    with pytest.raises(SolverError, match="exchanged"):
        loss.backward()
