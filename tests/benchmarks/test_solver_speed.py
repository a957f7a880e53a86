"""What solvers and their gradients cost: time against field evaluations, training steps, and memory over steps."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from spring_benzene import SpringBenzene, thermal
from torch import Tensor

from neuralmd.data.anchors import Anchors
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.adjoints import ContinuousAdjoint, ReversibleAdjoint
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Solver, VelocityVerlet
from neuralmd.system import PhaseState

WINDOWS, STRIDE, TIMESTEP = 16, 20, 0.5
GAP = STRIDE * TIMESTEP

SOLVERS: dict[str, Solver] = {
    "Verlet, backpropagation": VelocityVerlet(TIMESTEP),
    "Verlet, reversible": VelocityVerlet(TIMESTEP, ReversibleAdjoint()),
    "Blanes-Moan, reversible": BlanesMoan(GAP / 4, ReversibleAdjoint()),
    "rk4, adjoint": RK4(TIMESTEP, ContinuousAdjoint("rk4", step=TIMESTEP)),
    "dopri5, adjoint": Dopri5(1e-4, 1e-5, adjoint=ContinuousAdjoint("dopri5", rtol=1e-4, atol=1e-5)),
}


def cpu_seconds(work: Callable[[], object]) -> float:
    """Time on the processor, which other processes do not lengthen as they do the wall's."""
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize("batch", [1, 64])
def test_solver_overhead(benchmark: BenchmarkFixture, batch: int) -> None:
    """Time of a solve over the time of as many evaluations of its field, in turns."""
    field = SpringBenzene().network.requires_grad_(requires_grad=False)
    state, times, solver = thermal(batch), torch.arange(0, GAP + 0.1, TIMESTEP), VelocityVerlet(TIMESTEP)
    evaluations = solve(field, state, times, solver).statistics.evaluations

    def alone() -> None:
        for _ in range(evaluations):
            field(state)

    def once() -> float:
        return cpu_seconds(lambda: solve(field, state, times, solver)) / cpu_seconds(alone)

    ratios = [once() for _ in range(7)]
    benchmark.pedantic(solve, args=(field, state, times, solver), rounds=3)
    benchmark.extra_info["solve_over_evaluations"] = statistics.median(ratios)
    print(f"\nsolve / (NFE x field), {batch} benzenes: {statistics.median(ratios):.3f}, of {min(ratios):.3f} and more")


@pytest.fixture(scope="module")
def window() -> tuple[Anchors, Tensor, Tensor]:
    """Anchors of an accurate solution, the hidden times, and the hidden positions."""
    start, times = thermal(WINDOWS, torch.float64), torch.arange(0, GAP + 0.1, TIMESTEP, dtype=torch.float64)
    with torch.no_grad():
        truth = solve(SpringBenzene(torch.float64), start, times, BlanesMoan(0.1))
    end = PhaseState(truth.positions[-1], truth.velocities[-1])
    anchors = Anchors(start.to(torch.float32), end.to(torch.float32), GAP)
    return anchors, times[1:-1].float(), truth.positions[1:-1].float()


@pytest.fixture(scope="module")
def reference(window: tuple[Anchors, Tensor, Tensor]) -> float:
    """CPU time of a training step by the first solver [s]."""
    step = training_step(SOLVERS["Verlet, backpropagation"], window)
    step()
    return min(cpu_seconds(step) for _ in range(3))


def training_step(solver: Solver, window: tuple[Anchors, Tensor, Tensor]) -> Callable[[], float]:
    """Forward and backward through both solutions and their blend; gives the error of the path [A]."""
    anchors, times, truth = window
    model = BidirectionalODE(SpringBenzene(), solver, PowerBlend(3.0))

    def step() -> float:
        model.zero_grad()
        error = model(anchors, times).positions - truth
        error.square().mean().backward()
        return float(error.detach().abs().mean())

    return step


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.benchmark(timer=time.process_time)
def test_training_step(
    benchmark: BenchmarkFixture, name: str, window: tuple[Anchors, Tensor, Tensor], reference: float
) -> None:
    step = training_step(SOLVERS[name], window)
    error = benchmark.pedantic(step, rounds=2, warmup_rounds=0 if "adjoint" in name else 1)
    ratio = benchmark.stats.stats.min / reference
    benchmark.extra_info |= {"over_verlet_with_backpropagation": ratio, "path_error_A": error}
    print(f"\n{name}: {benchmark.stats.stats.min:.2f} s of CPU, {ratio:.2f} x Verlet; path error {error:.1e} A")


PEAK = """
import sys
from pathlib import Path

import torch
from spring_benzene import SpringBenzene, thermal

from neuralmd.data.anchors import Anchors
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.ode.adjoints import ReversibleAdjoint
from neuralmd.ode.solvers import VelocityVerlet

stride, adjoint = int(sys.argv[1]), ReversibleAdjoint() if sys.argv[2] == "reversible" else None
torch.set_num_threads(1)
model, state = BidirectionalODE(SpringBenzene(), VelocityVerlet(0.5, adjoint), PowerBlend(3.0)), thermal(16)


def memory(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind))


def step(frames):
    path = model(Anchors(state, state, 0.5 * frames), 0.5 * torch.arange(1, frames))
    path.positions.square().mean().backward()


step(2)
Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
before = memory("VmRSS")
step(stride)
print((memory("VmHWM") - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read as Linux has it")
@pytest.mark.parametrize("gradients", ["backpropagation", "reversible"])
def test_memory_over_steps(benchmark: BenchmarkFixture, gradients: str) -> None:
    """What a training step adds to the memory of a process at its peak [MiB], at K = 20 to 160."""

    def peak(stride: int) -> float:
        # Blocks that are freed go back at once, so that the process is as large as what it uses.
        here = {
            "MALLOC_MMAP_THRESHOLD_": "65536",
            "MALLOC_TRIM_THRESHOLD_": "65536",
            "PYTHONPATH": str(Path(__file__).parent),
        }
        command = [sys.executable, "-c", PEAK, str(stride), gradients]
        done = subprocess.run(command, env=os.environ | here, capture_output=True, text=True, check=True)
        return float(done.stdout)

    peaks = {stride: peak(stride) for stride in (20, 40, 80)}
    peaks[160] = benchmark.pedantic(peak, args=(160,), rounds=1)
    benchmark.extra_info["mebibytes_over_stride"] = peaks
    benchmark.extra_info["160_over_20"] = peaks[160] / peaks[20]
    told = ", ".join(f"{stride}: {value:.0f}" for stride, value in peaks.items())
    print(f"\n{gradients}, MiB at K = {told}; {peaks[160] / peaks[20]:.2f} times as much at 160 as at 20")
