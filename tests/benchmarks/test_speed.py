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
from neuralmd.fields.tabulated import tabulate
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import PhaseState, System

STRIDE, TIMESTEP = 20, 0.5
GAP = STRIDE * TIMESTEP


@pytest.fixture(scope="module")
def field() -> EquivariantField:
    torch.manual_seed(0)
    field = EquivariantField(System.from_atomic_numbers([6] * 6 + [1] * 6))
    field.readout.scale.fill_(0.01)
    tabulate(field.eval().requires_grad_(requires_grad=False))
    return field


def benzenes(count: int) -> PhaseState:
    generator = torch.Generator().manual_seed(0)
    rest = torch.as_tensor(molecule("benzene").get_positions(), dtype=torch.float32)
    return PhaseState(rest + 0.05 * torch.randn((count, 12, 3), generator=generator), torch.zeros(count, 12, 3))


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Time on the processor in the shortest of several rounds, the one least disturbed by other processes."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


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
    benchmark.pedantic(model, args=(Anchors(start, end, GAP), hidden), rounds=1)
    frame = seconds(lambda: model(Anchors(start, end, GAP), hidden)) / (64 * len(hidden))
    benchmark.extra_info["microseconds_per_frame"], benchmark.extra_info["microseconds_per_step"] = (
        1e6 * frame,
        1e6 * step,
    )
    benchmark.extra_info["frames_per_engine_step"] = step / frame
    print(f"\none GFN2-xTB step of {1e3 * step:.1f} ms takes as long as {step / frame:.1f} rebuilt frames")
