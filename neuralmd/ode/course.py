"""`Course`: a solve by a splitting method, laid out before it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from neuralmd.fields.base import Field
from neuralmd.ode.hermite import Knot
from neuralmd.ode.splitting import Splitting, knots
from neuralmd.ode.steps import Step, read
from neuralmd.system import Accelerations, Curves, PhaseState, Positions, Velocities


@dataclass(frozen=True, eq=False)
class Course:
    """The steps of a solve by a splitting method.

    The states are summed up in float64, whatever the precision of the field: that costs nothing beside the field, and
    it is what lets a float32 solve be undone without drift.

    Attributes:
        field: The acceleration; it depends on positions only.
        splitting: The method.
        steps: The steps, and what is read within each.
        dtype: Precision of what the field sees, and of the solution.
    """

    field: Field
    splitting: Splitting
    steps: list[Step]
    dtype: torch.dtype

    @property
    def evaluations(self) -> int:
        """Evaluations of the field on the way."""
        return 1 + len(self.steps) * len(self.splitting.drifts)

    def acceleration(self, position: Positions, velocity: Velocities) -> Accelerations:
        """The field at a state of any precision."""
        return self.field(PhaseState(position.to(self.dtype), velocity.to(self.dtype)))

    def knots(self, position: Positions, velocity: Velocities) -> Iterator[Knot]:
        """The states at the start and after each step, in float64."""
        lengths = (step.length for step in self.steps)
        return knots(self.acceleration, position.double(), velocity.double(), lengths, self.splitting)

    def solution(self, along: Iterable[Knot]) -> tuple[Curves, Curves, Curves]:
        """Positions, velocities and accelerations at the query times, from the knots in their order."""
        return read(along, self.steps, self.dtype)
