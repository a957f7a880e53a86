"""`Field`: f_theta, the right-hand side of the equation of motion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from neuralmd.system import Accelerations, PhaseState


class Field(nn.Module, ABC):
    """The acceleration of every atom at a phase state.

    dx/dt = v,  dv/dt = f_theta(x, v)

    A field that does not depend on v is time-reversible: solving it from the second anchor with decreasing times is
    exactly the backward solution.
    """

    depends_on_velocity: ClassVar[bool] = False
    """Whether f_theta reads v. Velocity Verlet needs a field that does not."""

    @abstractmethod
    def forward(self, state: PhaseState) -> Accelerations:
        """dv/dt at the state [A/fs^2]."""
