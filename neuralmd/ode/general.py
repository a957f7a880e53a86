"""Solves on torchdiffeq: the Runge-Kutta methods, and the continuous adjoint of every solver."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as field_
from typing import Any, cast

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

import neuralmd.ode.torchdiffeq_methods  # noqa: F401 (makes the splitting methods known to torchdiffeq)
from neuralmd.fields.base import Field
from neuralmd.ode.adjoints import ContinuousAdjoint
from neuralmd.ode.dynamics import Clock, Dynamics, StepWatch
from neuralmd.ode.grid import uniform_grid
from neuralmd.ode.solvers import Dopri5, Solver, SplittingSolver
from neuralmd.system import Curves, PhaseState, Times


@dataclass(frozen=True, eq=False)
class Solved:
    """What comes out of torchdiffeq.

    Attributes:
        positions: x at the query times [A].
        velocities: dx/ds of the elapsed time s [A/fs].
        evaluations: Evaluations of the field.
        accepted: Steps taken.
        rejected: Steps tried in vain.
    """

    positions: Curves
    velocities: Curves
    evaluations: int
    accepted: int
    rejected: int


def integrate(field: Field, state: PhaseState, clock: Clock, solver: Solver) -> Solved:
    """Solve from a state to the query times.

    Args:
        field: The acceleration [A/fs^2].
        state: Where the solve starts.
        clock: The query times.
        solver: The method, and how to take gradients: by backpropagation or the continuous adjoint.

    Raises:
        SolverError: If an adaptive solve fails.
    """
    elapsed = clock.elapsed.to(state.positions.device)
    adjoint = solver.adjoint if isinstance(solver.adjoint, ContinuousAdjoint) else None
    method = _method(solver, elapsed)
    dynamics = Dynamics(field, clock.direction)
    watch = _watch(dynamics, clock, solver, adjoint)
    start = (state.positions, clock.direction * state.velocities)
    positions, velocities = _odeint(dynamics, start, elapsed, method, adjoint)
    steps, rejected = (method.steps, 0) if watch is None else (watch.attempts - watch.rejected, watch.rejected)
    return Solved(positions, velocities, dynamics.evaluations, steps, rejected)


@dataclass(frozen=True, eq=False)
class _Method:
    """A solver in torchdiffeq's words."""

    name: str
    rtol: float = 1e-7
    atol: float = 1e-9
    options: dict[str, Any] = field_(default_factory=dict)
    steps: int = 0


def _method(solver: Solver, elapsed: Times) -> _Method:
    if isinstance(solver, Dopri5):
        return _Method(solver.name, solver.rtol, solver.atol)
    grid = uniform_grid(elapsed, solver.step)
    options: dict[str, Any] = {"grid_constructor": lambda _func, _state, _times: grid}
    if not isinstance(solver, SplittingSolver):
        # The cubic costs an evaluation at every query, so it is for queries off the grid only.
        options["interp"] = "linear" if bool(torch.isin(elapsed, grid).all()) else "cubic"
    return _Method(solver.name, options=options, steps=len(grid) - 1)


def _odeint(
    dynamics: Dynamics, start: tuple[Tensor, Tensor], elapsed: Times, method: _Method, adjoint: ContinuousAdjoint | None
) -> tuple[Curves, Curves]:
    if adjoint is None:
        solution = odeint(
            dynamics, start, elapsed, rtol=method.rtol, atol=method.atol, method=method.name, options=method.options
        )
        return cast("tuple[Curves, Curves]", solution)
    solution = odeint_adjoint(
        dynamics,
        start,
        elapsed,
        rtol=method.rtol,
        atol=method.atol,
        method=method.name,
        options=method.options,
        adjoint_rtol=adjoint.rtol,
        adjoint_atol=adjoint.atol,
        adjoint_method=adjoint.method,
        adjoint_options=_adjoint_options(adjoint),
    )
    return cast("tuple[Curves, Curves]", solution)


def _adjoint_options(adjoint: ContinuousAdjoint) -> dict[str, Any]:
    if adjoint.method == "dopri5":
        return {"norm": "seminorm"} if adjoint.seminorm else {}
    step = adjoint.step
    return {} if step is None else {"grid_constructor": lambda _func, _state, times: uniform_grid(times, step)}


def _watch(dynamics: Dynamics, clock: Clock, solver: Solver, adjoint: ContinuousAdjoint | None) -> StepWatch | None:
    """Watch the adaptive parts of the solve; the watch of the forward pass, if that is one."""
    first, last = float(clock.elapsed[0]), float(clock.elapsed[-1])
    forward = StepWatch(clock, first, solver.max_steps, solver.name) if isinstance(solver, Dopri5) else None
    backward = None
    if adjoint is not None and adjoint.method == "dopri5":
        backward = StepWatch(clock, last, adjoint.max_steps, "the adjoint's dopri5")
    dynamics.watch(forward, backward)
    return forward
