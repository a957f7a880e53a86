"""The equivariant fields along a neighbour list: large molecules and periodic cells."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from neuralmd.errors import DataError, SolverError
from neuralmd.fields import listed
from neuralmd.fields.base import Field
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.neighbour_list import Neighbours
from neuralmd.fields.tabulated import tabulate
from neuralmd.fields.velocity_dependent import VelocityDependentField
from neuralmd.ode.adjoints import ContinuousAdjoint, ReversibleAdjoint
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, Solver, VelocityVerlet
from neuralmd.system import PhaseState, System

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]
KINDS = [EquivariantField, ConservativeField, VelocityDependentField]
CUBE = 4.4 * np.eye(3)
TRICLINIC = np.array([[4.6, 0.0, 0.0], [1.9, 4.2, 0.0], [-1.4, 1.3, 4.5]])
CELLS = {"cube": CUBE, "triclinic": TRICLINIC}
Made = EquivariantField | ConservativeField | VelocityDependentField


def molecule(atoms: int) -> System:
    return System.from_atomic_numbers(([6, 1, 8, 1] * atoms)[:atoms])


def crystal(cell: np.ndarray, atoms: int = 6) -> System:
    bare = molecule(atoms)
    return System(bare.atomic_numbers, bare.masses, cell, np.ones(3, dtype=bool))


def field(kind: Callable[..., Made], system: System, cutoff: float = 5.0, dtype: torch.dtype = torch.float64) -> Made:
    torch.manual_seed(1)
    made = kind(system, channels=4, l_max=2, layers=2, cutoff=cutoff)
    if not isinstance(made, ConservativeField):
        made.readout.scale.fill_(0.01)
    return made.to(dtype)


def somewhere(system: System, batch: int = 2, dtype: torch.dtype = torch.float64) -> PhaseState:
    """Atoms on a loose grid that fills the cell, if there is one, in motion."""
    generator = torch.Generator().manual_seed(2)
    side = int(np.ceil(system.atoms ** (1 / 3)))
    sites = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 3)[: system.atoms] / side
    frame = torch.as_tensor(system.cell) if system.pbc.any() else 1.7 * side * torch.eye(3, dtype=torch.float64)
    noise = torch.randn(2, batch, system.atoms, 3, generator=generator, dtype=torch.float64)
    return PhaseState((sites @ frame + 0.15 * noise[0]).to(dtype), (0.02 * noise[1]).to(dtype))


def moved(state: PhaseState, shift: Tensor) -> PhaseState:
    return PhaseState(state.positions + shift.to(state.positions), state.velocities)


def results(made: Made, state: PhaseState, neighbours: Neighbours) -> list[Tensor]:
    """Accelerations, and the gradients of a number made of them by positions and weights."""
    made.network.use(neighbours)
    made.zero_grad()
    positions = state.positions.clone().requires_grad_()
    accelerations = made(PhaseState(positions, state.velocities))
    accelerations[..., 0].square().sum().backward()
    slopes = [each.grad.clone() for each in (positions, *made.parameters()) if each.grad is not None]
    return [accelerations.detach(), *slopes]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("atoms", "cutoff", "kept"), [(5, 9.0, 10**6), (5, 9.0, 0), (70, 4.0, 10**6), (70, 4.0, 0)])
def test_a_list_gives_what_all_pairs_give(
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[..., Made],
    dtype: torch.dtype,
    tolerance: float,
    atoms: int,
    cutoff: float,
    kept: int,
) -> None:
    """With the same weights, of a molecule within the cutoff and of a larger one, in one part and in several."""
    monkeypatch.setattr(listed, "_PAIRS_KEPT", {"cpu": kept})
    monkeypatch.setattr(listed, "_PAIRS_AT_ONCE", {"cpu": 700})
    system = molecule(atoms)
    made, state = field(kind, system, cutoff, dtype), somewhere(system, 2, dtype)
    found = [results(made, state, how) for how in ("all_pairs", "list")]
    assert found[0][0].abs().max() > 1e-4
    assert len(found[0]) == len(found[1]) == 2 + sum(each.grad is not None for each in made.parameters())
    for dense, sparse in zip(*found, strict=True):
        assert (sparse - dense).abs().max() < tolerance * dense.abs().max()


def test_neighbours_are_listed_where_it_pays() -> None:
    for system, lists in [(molecule(12), False), (molecule(200), True), (crystal(CUBE), True)]:
        assert (field(EquivariantField, system).network.listed is not None) == lists
    with pytest.raises(DataError, match="no end of pairs"):
        field(EquivariantField, crystal(CUBE)).network.use("all_pairs")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(CELLS))
def test_a_cell_is_the_same_as_a_larger_one_of_its_copies(kind: Callable[..., Made], name: str) -> None:
    """The cutoff exceeds the cell: every atom sees several images of each other, and of itself."""
    cell, times = CELLS[name], np.array([2, 1, 3])
    small = crystal(cell)
    copies = np.stack(np.meshgrid(*[np.arange(n) for n in times], indexing="ij"), -1).reshape(-1, 3)
    large = System(
        np.tile(small.atomic_numbers, len(copies)), np.tile(small.masses, len(copies)), cell * times[:, None], small.pbc
    )
    state = somewhere(small, 2)
    shifts = torch.as_tensor(copies @ cell).repeat_interleave(small.atoms, dim=0)
    many = PhaseState(state.positions.repeat(1, len(copies), 1) + shifts, state.velocities.repeat(1, len(copies), 1))
    one, other = field(kind, small), field(kind, large)
    if isinstance(one, ConservativeField) and isinstance(other, ConservativeField):
        other.unit.copy_(one.unit)
        torch.testing.assert_close(other.energy(many.positions), len(copies) * one.energy(state.positions))
    expected = one(state).repeat(1, len(copies), 1)
    assert (other(many) - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(CELLS))
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_symmetries_of_a_periodic_system(
    kind: Callable[..., Made], name: str, dtype: torch.dtype, tolerance: float
) -> None:
    system = crystal(CELLS[name])
    made, state = field(kind, system, 5.0, dtype), somewhere(system, 3, dtype)
    plain = made(state)
    allowed = 5 * tolerance * plain.abs().max()
    generator = torch.Generator().manual_seed(7)
    images = torch.randint(-3, 4, (3, system.atoms, 3), generator=generator).double() @ torch.as_tensor(system.cell)
    assert (made(moved(state, images)) - plain).abs().max() < allowed
    assert (made(moved(state, torch.tensor([0.7, -11.0, 3.1]))) - plain).abs().max() < allowed
    order = torch.tensor([0, 3, 2, 1, 4, 5])  # atoms 1 and 3 are hydrogen
    swapped = made(PhaseState(state.positions[:, order], state.velocities[:, order]))
    assert (swapped - plain[:, order]).abs().max() < allowed
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    turned = field(kind, System(system.atomic_numbers, system.masses, system.cell @ turn.T.numpy(), system.pbc))
    there = PhaseState(state.positions.double() @ turn.T, state.velocities.double() @ turn.T)
    expected = plain.double() @ turn.T
    turned.load_state_dict(made.state_dict())
    assert (turned(there) - expected).abs().max() < allowed


def test_cell_vectors_of_the_same_lattice_are_the_same_cell() -> None:
    system = crystal(TRICLINIC)
    other = crystal(np.array([[1, 0, 0], [1, 1, 0], [-2, 1, 1]]) @ TRICLINIC)
    state = somewhere(system)
    expected = field(EquivariantField, system)(state)
    assert (field(EquivariantField, other)(state) - expected).abs().max() < 1e-10 * expected.abs().max()


def test_the_energy_is_smooth_where_lists_change_and_its_slope_is_the_force() -> None:
    system = crystal(CUBE)
    made = field(ConservativeField, system, 4.0)
    start = somewhere(system, 1).positions
    way = torch.zeros_like(start)
    way[0, 2] = torch.tensor([0.8, 0.5, -0.3])
    steps = torch.linspace(0, 2, 81, dtype=torch.float64)
    with torch.no_grad():
        energies = torch.cat([made.energy(start + step * way) for step in steps])
        forces = [made(PhaseState(start + step * way, way)) for step in steps[1:-1]]
    masses = torch.as_tensor(system.masses)[:, None]
    slopes = torch.stack([-(masses * force * way).sum() for force in forces])
    once, twice = energies[3:-1] - energies[1:-3], energies[4:] - energies[:-4]
    slopes, differences = slopes[1:-1], (8 * once - twice) / (12 * (steps[1] - steps[0]))
    scale = slopes.abs().max()
    ratio = slopes @ differences / (differences @ differences)
    assert (slopes - ratio * differences).abs().max() < 1e-3 * scale
    at_once = made.energy(start + steps[:, None, None] * way).detach()
    torch.testing.assert_close(at_once, energies, rtol=0, atol=1e-11)


def loss(made: Field, state: PhaseState, solver: Solver) -> list[Tensor]:
    """A number made of a solution that leaves the first list behind, and its gradients."""
    made.zero_grad()
    positions, velocities = (each.clone().requires_grad_() for each in (state.positions, state.velocities))
    times = torch.tensor([0.0, 1.0, 3.5, 8.0], dtype=torch.float64)
    path = solve(made, PhaseState(positions, velocities), times, solver)
    (path.positions[1:].square().sum() + 10.0 * path.velocities.square().sum()).backward()
    return [each.grad.clone() for each in (positions, velocities, *made.parameters()) if each.grad is not None]


@pytest.mark.parametrize("solver", [VelocityVerlet(0.5, ReversibleAdjoint(3)), RK4(1.0, ContinuousAdjoint("rk4", 1.0))])
def test_adjoint_gradients_through_a_periodic_box_are_those_of_backpropagation(solver: Solver) -> None:
    made, state = field(EquivariantField, crystal(TRICLINIC), 3.5), somewhere(crystal(TRICLINIC))
    plain = VelocityVerlet(0.5) if isinstance(solver, VelocityVerlet) else RK4(1.0)
    state = PhaseState(state.positions, 5 * state.velocities)
    rtol = 1e-9 if isinstance(solver, VelocityVerlet) else 2e-3
    for one, other in zip(loss(made, state, solver), loss(made, state, plain), strict=True):
        assert (one - other).abs().max() < rtol * other.abs().max()


def test_a_solve_along_a_list_is_that_of_all_pairs() -> None:
    system = molecule(40)
    made, state, ends = field(EquivariantField, system, 3.5), somewhere(system), []
    state, times = PhaseState(state.positions, 4 * state.velocities), torch.tensor([0.0, 12.0], dtype=torch.float64)
    for how in ("all_pairs", "list"):
        made.network.use(how)
        with torch.no_grad():
            ends.append(solve(made, state, times, VelocityVerlet(0.5)).positions[-1])
    assert (ends[0] - state.positions).abs().max() > 1.0
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [EquivariantField, VelocityDependentField])
def test_tables_serve_a_periodic_box_too(kind: Callable[..., Made]) -> None:
    made, state = field(kind, crystal(TRICLINIC), 5.0, torch.float32), somewhere(crystal(TRICLINIC), 3, torch.float32)
    cheap = deepcopy(made).eval()
    tabulate(cheap)
    with torch.no_grad():
        expected = made(state)
        assert cheap.network.radials.table is not None
        assert 0 < (cheap(state) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_what_flies_apart_is_a_solver_error() -> None:
    made, state = field(EquivariantField, crystal(CUBE)), somewhere(crystal(CUBE))
    made.readout.scale.fill_(1e9)
    with torch.no_grad(), pytest.raises(SolverError, match="diverged"):
        solve(made, state, torch.tensor([0.0, 10.0], dtype=torch.float64), VelocityVerlet(0.5))
