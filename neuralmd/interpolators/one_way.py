"""`ForwardODE` and `BackwardODE`: the neural ODE from one anchor, without the other."""

from __future__ import annotations

from typing import ClassVar

from neuralmd.data.anchors import Anchors
from neuralmd.fields.base import Field
from neuralmd.interpolators.base import Interpolator, Path, clean_times
from neuralmd.interpolators.both_ways import Plan, backward_path, forward_path
from neuralmd.ode.solvers import Solver
from neuralmd.system import Times


class ForwardODE(Interpolator):
    """The field, solved from the first anchor; the second is never seen.

    Args:
        field: The acceleration.
        solver: What integrates it.
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(self, field: Field, solver: Solver) -> None:
        super().__init__()
        self.field = field
        self.solver = solver

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The forward solution; see `Interpolator.forward`."""
        plan = Plan.of(clean_times(times.cpu(), anchors.gap), anchors.gap, anchors.gap)
        return forward_path(self.field, self.solver, anchors, plan)


class BackwardODE(Interpolator):
    """The field, solved backward in time from the second anchor; the first is never seen.

    Args:
        field: The acceleration.
        solver: What integrates it.
    """

    needs_velocities: ClassVar[bool] = True

    def __init__(self, field: Field, solver: Solver) -> None:
        super().__init__()
        self.field = field
        self.solver = solver

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The backward solution, in order of increasing time; see `Interpolator.forward`."""
        plan = Plan.of(clean_times(times.cpu(), anchors.gap), anchors.gap, anchors.gap)
        return backward_path(self.field, self.solver, anchors, plan)
