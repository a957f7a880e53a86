"""Velocity Verlet as a fixed-grid solver of torchdiffeq, so that odeint and odeint_adjoint can use it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.solvers import FixedGridODESolver

from neuralmd.ode.hermite import Knot, quintic_hermite
from neuralmd.system import Times

VELOCITY_VERLET: Final = "velocity_verlet"
"""The name under which torchdiffeq knows the solver."""

_Dynamics = Callable[[Float[Tensor, ""], Float[Tensor, " phase"]], Float[Tensor, " phase"]]


class VelocityVerletSolver(FixedGridODESolver):
    """Velocity Verlet for y = (x, v), flattened by torchdiffeq: x is the first half of y, v the second.

    v_1/2 = v + h/2 a(x),  x' = x + h v_1/2,  v' = v_1/2 + h/2 a(x')

    The acceleration at the end of a step serves the next one too: n steps cost n + 1 evaluations. Query times off the
    grid cost none; they lie on the quintic Hermite through the two grid points around them.
    """

    order = 2

    def integrate(self, t: Times) -> Float[Tensor, "time phase"]:
        """The states at the query times; t[0] is the time of y0."""
        grid = self.grid_constructor(self.func, self.y0, t)
        queries, now = t.tolist(), grid.tolist()
        knot = _knot(self.func, grid[0], self.y0)
        states: list[Tensor] = [self.y0]
        for index, (begin, end) in enumerate(pairwise(now)):
            following = _step(self.func, grid[index + 1], end - begin, knot)
            while len(states) < len(queries) and queries[len(states)] <= end:
                query = queries[len(states)]
                if query == end:
                    state = (following.position, following.velocity)
                else:
                    state = quintic_hermite(knot, following, end - begin, (query - begin) / (end - begin))
                states.append(torch.cat(state))
            knot = following
        return torch.stack(states)

    def _step_func(  # pyright: ignore[reportIncompatibleMethodOverride] (abstract there, and untyped)
        self,
        func: _Dynamics,
        t0: Float[Tensor, ""],
        dt: Float[Tensor, ""],
        t1: Float[Tensor, ""],
        y0: Float[Tensor, " phase"],
    ) -> tuple[Float[Tensor, " phase"], Float[Tensor, " phase"]]:
        """One step on its own, as torchdiffeq's event search takes it: the increment, and dy/dt at its start."""
        knot = _knot(func, t0, y0)
        following = _step(func, t1, float(dt), knot)
        increment = torch.cat((following.position, following.velocity)) - y0
        return increment, torch.cat((knot.velocity, knot.acceleration))


def _knot(func: _Dynamics, time: Float[Tensor, ""], state: Float[Tensor, " phase"]) -> Knot:
    position, velocity = state.chunk(2)
    return Knot(position, velocity, func(time, state).chunk(2)[1])


def _step(func: _Dynamics, time: Float[Tensor, ""], step: float, knot: Knot) -> Knot:
    halfway = knot.velocity + (0.5 * step) * knot.acceleration
    position = knot.position + step * halfway
    acceleration = func(time, torch.cat((position, halfway))).chunk(2)[1]
    return Knot(position, halfway + (0.5 * step) * acceleration, acceleration)


SOLVERS[VELOCITY_VERLET] = VelocityVerletSolver
