"""The splitting methods as fixed-grid solvers of torchdiffeq, so that odeint and odeint_adjoint can use them too."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.solvers import FixedGridODESolver

from neuralmd.ode.solvers import BlanesMoan, VelocityVerlet
from neuralmd.ode.splitting import Splitting, knots
from neuralmd.ode.steps import plan, read
from neuralmd.system import Times

_Dynamics = Callable[[Float[Tensor, ""], Float[Tensor, " phase"]], Float[Tensor, " phase"]]


class _SplittingSolver(FixedGridODESolver):
    """A splitting method for y = (x, v), flattened by torchdiffeq: x is the first half of y, v the second.

    Query times off the grid cost no evaluation; they lie on the quintic Hermite through the two grid points around.
    """

    splitting: ClassVar[Splitting]

    def integrate(self, t: Times) -> Float[Tensor, "time phase"]:
        """The states at the query times; t[0] is the time of y0."""
        grid = self.grid_constructor(self.func, self.y0, t)
        return self._solve(self.func, self.y0, t, grid)

    def _solve(
        self, func: _Dynamics, start: Float[Tensor, " phase"], times: Times, grid: Float[Tensor, " grid"]
    ) -> Float[Tensor, "time phase"]:
        def acceleration(position: Tensor, velocity: Tensor) -> Tensor:
            return func(grid[0], torch.cat((position, velocity)).to(start.dtype)).chunk(2)[1]

        steps = plan(times.double(), grid.double(), start.device)
        position, velocity = start.double().chunk(2)
        along = knots(acceleration, position, velocity, (step.length for step in steps), self.splitting)
        positions, velocities, _ = read(along, steps, start.dtype)
        return torch.cat((positions, velocities), dim=1)

    def _step_func(  # pyright: ignore[reportIncompatibleMethodOverride] (abstract there, and untyped)
        self,
        func: _Dynamics,
        t0: Float[Tensor, ""],
        dt: Float[Tensor, ""],  # noqa: ARG002 (torchdiffeq's)
        t1: Float[Tensor, ""],
        y0: Float[Tensor, " phase"],
    ) -> tuple[Float[Tensor, " phase"], Float[Tensor, " phase"]]:
        """One step on its own, as torchdiffeq's event search takes it: the increment, and dy/dt at its start."""
        span = torch.stack((t0, t1))
        return self._solve(func, y0, span, span)[1] - y0, func(t0, y0)


class VelocityVerletSolver(_SplittingSolver):
    """Velocity Verlet; see `neuralmd.ode.solvers.VelocityVerlet`."""

    order = 2
    splitting = VelocityVerlet.splitting


class BlanesMoanSolver(_SplittingSolver):
    """SRKN_6^b; see `neuralmd.ode.solvers.BlanesMoan`."""

    order = 4
    splitting = BlanesMoan.splitting


SOLVERS[VelocityVerlet.name] = VelocityVerletSolver
SOLVERS[BlanesMoan.name] = BlanesMoanSolver
