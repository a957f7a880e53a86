"""`Field`: f_theta, the right-hand side of the equation of motion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.system import Accelerations, PhaseState


class Field(nn.Module, ABC):
    """The acceleration of every atom at a phase state.

    dx/dt = v,  dv/dt = f_theta(x, v)

    A field that does not depend on v is time-reversible: solving it from the second anchor with decreasing times is
    exactly the backward solution.
    """

    depends_on_velocity: ClassVar[bool] = False
    """Whether f_theta reads v. Velocity Verlet needs a field that does not."""

    def set_scale(self, scale: Float[Tensor, " atoms"]) -> None:
        """Take the training data's typical acceleration of each atom [A/fs^2] as the unit of what the network gives.

        A field that has no such unit ignores it.
        """

    @abstractmethod
    def forward(self, state: PhaseState) -> Accelerations:
        """dv/dt at the state [A/fs^2]."""
