"""Work and precision of all solvers on benzene: the error at the end of a gap over field evaluations and over time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from matplotlib.ticker import LogLocator, NullLocator
from pytest_benchmark.fixture import BenchmarkFixture
from spring_benzene import SpringBenzene, thermal

from neuralmd.ode.solve import Solution, solve
from neuralmd.ode.solvers import RK4, BlanesMoan, Dopri5, Midpoint, Solver, VelocityVerlet
from neuralmd.report.style import Style, clear, new_figure, save

GAP, BATCH = 10.0, 8
TIMES = torch.tensor([0.0, GAP], dtype=torch.float64)
STEPS = (2.0, 1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True)
class Line:
    """One kind of solver in the figure.

    Attributes:
        style: How it is drawn.
        marker: The mark of each setting.
        solvers: Its settings, from coarse to fine.
    """

    style: Style
    marker: str
    solvers: list[Solver] = field(default_factory=list)


LINES = [
    Line(Style("velocity Verlet", "#004488", width=2.0), "o", [VelocityVerlet(step) for step in STEPS]),
    Line(Style("Blanes-Moan", "#cc6677", width=2.0), "s", [BlanesMoan(GAP / n) for n in (2, 3, 4, 6, 9, 14)]),
    Line(Style("rk4", "#999933"), "^", [RK4(GAP / n) for n in (4, 6, 9, 14, 21, 32)]),
    Line(Style("midpoint", "#44aa99"), "v", [Midpoint(step) for step in STEPS[1:]]),
    Line(Style("dopri5", "#aa4499"), "D", [Dopri5(10.0**-n, 10.0 ** -(n + 1)) for n in (2, 3, 4, 5, 6)]),
]
AS_SIMULATED = VelocityVerlet(0.5)


@dataclass(frozen=True)
class Point:
    """What one setting of a solver costs and errs by.

    Attributes:
        evaluations: NFE of one direction.
        milliseconds: CPU time for one configuration of the batch.
        error: Mean absolute error of the positions at the end of the gap [A].
    """

    evaluations: int
    milliseconds: float
    error: float


def measure(model: SpringBenzene, solver: Solver, exact: Solution) -> Point:
    """Time in float32, the precision of real work; error in float64, so that the method alone errs."""
    with torch.no_grad():
        state = thermal(BATCH)
        seconds = []
        for _ in range(2):
            began = time.process_time()
            solve(model, state, TIMES, solver)
            seconds.append(time.process_time() - began)
        found = solve(SpringBenzene(torch.float64), thermal(BATCH, torch.float64), TIMES, solver)
    error = float((found.positions[-1] - exact.positions[-1]).abs().mean())
    return Point(found.statistics.evaluations, 1e3 * min(seconds) / BATCH, error)


def draw(lines: dict[str, list[Point]], path: Path) -> None:
    """Two panels: error over evaluations and over time."""
    figure = new_figure(8.6, 3.9)
    axes = figure.subplots(1, 2, sharey=True)
    costs: list[tuple[str, Callable[[Point], float]]] = [
        ("field evaluations for 10 fs", lambda point: point.evaluations),
        ("CPU time for one molecule [ms]", lambda point: point.milliseconds),
    ]
    for axis, (label, cost) in zip(axes, costs, strict=True):
        clear(axis)
        for line in LINES:
            points, style = lines[line.style.label], line.style
            axis.loglog(
                [cost(point) for point in points],
                [point.error for point in points],
                color=style.colour,
                lw=style.width,
                marker=line.marker,
                ms=4.5,
                label=style.label,
            )
        axis.set_xlabel(label)
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(which="major", color="#e6e6e6", lw=0.6)
        axis.set_axisbelow(True)
    axes[0].set_ylabel("mean absolute error at the end [Å]")
    axes[0].legend(frameon=False, fontsize=9, loc="lower left")
    save(figure, path)


def test_work_precision(benchmark: BenchmarkFixture, repository: Path) -> None:
    """Draw the figure of the documentation, and keep its numbers."""
    model = SpringBenzene()
    with torch.no_grad():
        exact = solve(SpringBenzene(torch.float64), thermal(BATCH, torch.float64), TIMES, BlanesMoan(0.1))
        benchmark.pedantic(solve, args=(model, thermal(BATCH), TIMES, AS_SIMULATED), rounds=3)
    lines = {line.style.label: [measure(model, solver, exact) for solver in line.solvers] for line in LINES}
    benchmark.extra_info["lines"] = {name: [vars(point) for point in points] for name, points in lines.items()}
    draw(lines, repository / "docs" / "images" / "work-precision.png")
    for name, points in lines.items():
        print(f"\n{name}: " + ", ".join(f"{point.evaluations} NFE {point.error:.1e} A" for point in points), end="")
