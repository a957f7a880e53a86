"""What a field costs for each atom as the system grows: along a neighbour list it stays the same.

All times are of the processor, the least of many rounds in which all contestants take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.neighbour_list import Neighbours
from neuralmd.fields.tabulated import tabulate
from neuralmd.system import PhaseState, System

SIDES = (1, 2, 3, 5, 7)
"""Molecules along each edge of a box of water: 3 to 1029 atoms."""
SPACING = 3.104
"""Of molecules at 1 g/cm^3 [A]; the cutoff of 6 A reaches over several images of the smallest boxes."""
ATOMS_AT_ONCE = 1029
ROUNDS = 8
_BODY = np.array([[0.0, 0.0, 0.0], [0.957, 0.0, 0.0], [-0.24, 0.927, 0.0]])


def water(side: int, *, periodic: bool) -> tuple[System, np.ndarray]:
    """Molecules on a cubic lattice, each turned at random [A]."""
    rng = np.random.default_rng(side)
    sites = SPACING * np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    turns = np.linalg.qr(rng.normal(size=(len(sites), 3, 3)))[0]
    positions = (sites[:, None] + np.einsum("nab,kb->nka", turns, _BODY)).reshape(-1, 3)
    bare = System.from_atomic_numbers([8, 1, 1] * len(sites))
    cell = SPACING * side * np.eye(3) if periodic else np.zeros((3, 3))
    return System(bare.atomic_numbers, bare.masses, cell, np.full(3, periodic)), positions


def states(positions: np.ndarray, batch: int) -> PhaseState:
    """Configurations that differ a little from each other."""
    generator = torch.Generator().manual_seed(0)
    moved = torch.as_tensor(positions) + 0.02 * torch.randn(batch, *positions.shape, generator=generator)
    return PhaseState(moved.float(), torch.zeros_like(moved).float())


def made(system: System, neighbours: Neighbours) -> EquivariantField:
    torch.manual_seed(0)
    field = EquivariantField(system)
    field.network.use(neighbours)
    return field


def least(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The shortest time of each [s], taking turns so that all have the same chance of a quiet moment."""
    times = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = time.process_time()
            work()
            times[name] = min(times[name], time.process_time() - began)
    return times


def gradients(field: EquivariantField, state: PhaseState) -> None:
    """A forward and a backward pass."""
    field.zero_grad()
    field(state).square().sum().backward()


@pytest.mark.parametrize("of", ["accelerations", "gradients"])
def test_cost_for_each_atom_of_a_box_of_water(benchmark: BenchmarkFixture, of: str) -> None:
    """Boxes of the same density, with as many atoms in a batch, so that only the size of the system differs."""
    works: dict[str, Callable[[], object]] = {}
    counts = {}
    for side in SIDES:
        system, positions = water(side, periodic=True)
        field, batch = made(system, "list"), max(1, ATOMS_AT_ONCE // system.atoms)
        state, name = states(positions, batch), f"{system.atoms}"
        counts[name] = batch * system.atoms
        if of == "accelerations":
            tabulate(field.eval().requires_grad_(requires_grad=False))
            works[name] = lambda field=field, state=state: field(state)
        else:
            works[name] = lambda field=field, state=state: gradients(field, state)
    each = {name: seconds / counts[name] for name, seconds in least(works).items()}
    first = next(iter(each.values()))
    benchmark.extra_info["us_per_atom"] = {name: 1e6 * seconds for name, seconds in each.items()}
    benchmark.extra_info["against_smallest"] = {name: seconds / first for name, seconds in each.items()}
    benchmark.pedantic(works["81"], rounds=3)
    print(f"\n{of} in a box of water, for each atom:", end="")
    print("".join(f" {name} atoms {1e6 * s:.0f} us ({s / first:.2f});" for name, s in each.items()))


def test_a_list_against_all_pairs(benchmark: BenchmarkFixture) -> None:
    """Clusters of water: where a list begins to pay, with gradients and without."""
    ratios = {}
    for side in (2, 3, 4):
        system, positions = water(side, periodic=False)
        state = states(positions, max(1, 192 // system.atoms))
        dense, sparse = made(system, "all_pairs"), made(system, "list")
        times = least({"dense": lambda: gradients(dense, state), "sparse": lambda: gradients(sparse, state)})  # noqa: B023
        for field in (dense, sparse):
            tabulate(field.eval().requires_grad_(requires_grad=False))
            field.network.compiled = None
        more = least({"dense": lambda: dense(state), "sparse": lambda: sparse(state)})  # noqa: B023
        ratios[system.atoms] = (times["dense"] / times["sparse"], more["dense"] / more["sparse"])
    benchmark.extra_info["times_faster"] = {str(atoms): ratio for atoms, ratio in ratios.items()}
    benchmark.pedantic(sparse, args=(state,), rounds=3)
    print("\na list against all pairs, times faster with gradients and without:", end="")
    print("".join(f" {atoms} atoms {one:.2f}, {other:.2f};" for atoms, (one, other) in ratios.items()))
