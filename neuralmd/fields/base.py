"""`Field`: f_theta, the right-hand side of the equation of motion."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Accelerations, PhaseState, Velocities


class Field(nn.Module, ABC):
    """The acceleration of every atom at a phase state.

    dx/dt = v,  dv/dt = f_theta(x, v)

    A field that does not depend on v is time-reversible: solving it from the second anchor with decreasing times is
    exactly the backward solution.

    A field may also learn dx/dt (see `velocity`), as a Hamiltonian network does; v then stands for p / m.
    """

    depends_on_velocity: bool = False
    """Whether f_theta reads v. Velocity Verlet needs a field that does not."""

    learns_velocity: bool = False
    """Whether dx/dt is learned and may differ from v. Velocity Verlet needs a field for which it is v."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sum(each.numel() for each in self.parameters())} parameters)"

    def calibrate(self, statistics: MotionStatistics) -> None:
        """Take the training part's statistics as the units of what the network reads and gives.

        A field that has no such units ignores them.
        """

    def velocity(self, state: PhaseState) -> Velocities:
        """dx/dt at the state [A/fs]."""
        return state.velocities

    def rates(self, state: PhaseState) -> tuple[Velocities, Accelerations]:
        """(dx/dt, dv/dt) at the state; to be overridden where one evaluation gives both."""
        return self.velocity(state), self(state)

    @abstractmethod
    def forward(self, state: PhaseState) -> Accelerations:
        """dv/dt at the state [A/fs^2]."""
