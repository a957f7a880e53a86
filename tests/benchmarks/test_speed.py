"""How fast the parts are, as ratios within one process: `make bench`. The machine's own speed cancels in a ratio."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from neuralmd.data.anchors import Anchors
from neuralmd.data.engines import calculator
from neuralmd.data.molecules import molecule
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import PhaseState, System

STRIDE, TIMESTEP = 20, 0.5
GAP = STRIDE * TIMESTEP


@pytest.fixture(scope="module")
def field() -> EquivariantField:
    torch.manual_seed(0)
    field = EquivariantField(System.from_atomic_numbers([6] * 6 + [1] * 6))
    field.readout.scale.fill_(0.01)
    return field.requires_grad_(requires_grad=False)


def benzenes(count: int) -> PhaseState:
    generator = torch.Generator().manual_seed(0)
    rest = torch.as_tensor(molecule("benzene").get_positions(), dtype=torch.float32)
    return PhaseState(rest + 0.05 * torch.randn((count, 12, 3), generator=generator), torch.zeros(count, 12, 3))


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """The shortest of several rounds, the one least disturbed."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_field(benchmark: BenchmarkFixture, field: EquivariantField, batch: int) -> None:
    state = benzenes(batch)
    benchmark(field, state)
    benchmark.extra_info["microseconds_per_configuration"] = 1e6 * benchmark.stats.stats.min / batch


def test_solver_overhead(benchmark: BenchmarkFixture, field: EquivariantField) -> None:
    """Time of a solve over the time of its field evaluations."""
    state, times = benzenes(64), torch.arange(0, GAP + 0.1, TIMESTEP)
    once = seconds(lambda: field(state), rounds=20)
    solution = benchmark(solve, field, state, times, VelocityVerlet(TIMESTEP))
    overhead = benchmark.stats.stats.min / (solution.statistics.evaluations * once)
    benchmark.extra_info["solve_over_evaluations"] = overhead
    print(f"\nsolve / (NFE x field) = {overhead:.2f}")


def test_reconstruction_against_the_engine(benchmark: BenchmarkFixture, field: EquivariantField) -> None:
    """Rebuilt frames a second over GFN2-xTB steps a second, both on the threads that torch has."""
    atoms = molecule("benzene")
    atoms.calc = calculator("gfn2-xtb")

    def engine() -> None:
        atoms.positions += 1e-3
        atoms.positions[0] += 1e-3
        atoms.get_forces()

    engine()
    step = seconds(engine, rounds=20)
    model = BidirectionalODE(field, VelocityVerlet(TIMESTEP), PowerBlend(3.0))
    start, end = benzenes(64), benzenes(64)
    hidden = torch.arange(1, STRIDE) * TIMESTEP
    benchmark(model, Anchors(start, end, GAP), hidden)
    frame = benchmark.stats.stats.min / (64 * len(hidden))
    benchmark.extra_info["frames_per_engine_step"] = step / frame
    print(f"\none GFN2-xTB step takes as long as {step / frame:.1f} rebuilt frames")
