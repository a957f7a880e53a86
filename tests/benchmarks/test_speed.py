"""Rebuilt frames against the simulation's own: `make bench`. The machine's own speed cancels in a ratio."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from spring_benzene import SYSTEM, thermal
from turns import least

from neuralmd.data.anchors import Anchors
from neuralmd.data.engines import calculator
from neuralmd.data.molecules import molecule
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.network import MessageSettings
from neuralmd.fields.tabulated import tabulate
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import CompactBlend, PowerBlend
from neuralmd.interpolators.correction import MismatchCorrection
from neuralmd.ode.solvers import VelocityVerlet

STRIDE, TIMESTEP, WINDOWS = 20, 0.5, 64
GAP = STRIDE * TIMESTEP


@pytest.fixture(scope="module", params=[2, 1], ids=["many-body messages", "plain messages"])
def field(request: pytest.FixtureRequest) -> EquivariantField:
    torch.manual_seed(0)
    field = EquivariantField(SYSTEM, messages=MessageSettings(correlation=request.param))
    field.readout.scale.fill_(0.01)
    tabulate(field.eval().requires_grad_(requires_grad=False))
    return field


def engine() -> Callable[[], object]:
    """A step of GFN2-xTB on benzene, from the density of the last as in a simulation."""
    atoms = molecule("benzene")
    atoms.calc = calculator("gfn2-xtb")

    def step() -> None:
        atoms.positions += 1e-3
        atoms.positions[0] += 1e-3
        atoms.get_forces()

    return step


def test_reconstruction_against_the_engine(benchmark: BenchmarkFixture, field: EquivariantField) -> None:
    """Rebuilt frames a second over GFN2-xTB steps a second, both on one thread."""
    solver, threads = VelocityVerlet(TIMESTEP), torch.get_num_threads()
    correction = MismatchCorrection(SYSTEM, [GAP])
    by_torch = deepcopy(field)
    by_torch.network.compiled = None
    models = {
        "torch, blend": BidirectionalODE(by_torch, solver, PowerBlend(3.0)),
        "blend": BidirectionalODE(field, solver, PowerBlend(3.0)),
        "compact blend": BidirectionalODE(field, solver, CompactBlend()),
        "blend and correction": BidirectionalODE(field, solver, PowerBlend(3.0), correction),
    }
    hidden, state = torch.arange(1, STRIDE) * TIMESTEP, thermal(WINDOWS)
    anchors, step = Anchors(state, state, GAP), engine()
    torch.set_num_threads(1)
    try:
        works = {name: lambda model=model: model(anchors, hidden) for name, model in models.items()}
        with torch.no_grad():
            for work in (*works.values(), step):
                work()
            times = least(works | {"engine": step}, rounds=12)
            benchmark.pedantic(works["blend and correction"], rounds=1)
    finally:
        torch.set_num_threads(threads)
    engine_step = times.pop("engine")
    benchmark.extra_info["us_per_engine_step"] = 1e6 * engine_step
    print(f"\none GFN2-xTB step of {1e3 * engine_step:.1f} ms takes as long as", end="")
    for name, seconds in times.items():
        frame = seconds / (WINDOWS * len(hidden))
        benchmark.extra_info[name] = {"us_per_frame": 1e6 * frame, "frames_per_engine_step": engine_step / frame}
        print(f" {engine_step / frame:.1f} frames ({name}, {1e6 * frame:.0f} us);", end="")
    print()
