"""`Interpolator`: the one interface of splines, recurrent networks and neural ODEs; and the anchors it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.errors import DataError
from neuralmd.system import Accelerations, Curves, PhaseState, Times


@dataclass(frozen=True, eq=False)
class Anchors:
    """The two known frames at either end of each gap of a batch.

    Attributes:
        start: State at time 0.
        end: State at time `gap`.
        gap: Time from the first anchor to the second [fs].
        start_acceleration: F/m at the first anchor [A/fs^2], where the file holds forces.
        end_acceleration: F/m at the second anchor [A/fs^2], where the file holds forces.
        context: Positions [A] of the known frames around the gap, uniformly spaced by `gap`, in order of time: as
            many before the first anchor as after the second, both anchors included. None if nobody asked for them.
    """

    start: PhaseState
    end: PhaseState
    gap: float
    start_acceleration: Accelerations | None = None
    end_acceleration: Accelerations | None = None
    context: Float[Tensor, "knots batch atoms 3"] | None = None


@dataclass(frozen=True, eq=False)
class Path:
    """What an interpolator gives: states at the times asked for.

    Attributes:
        positions: x(t) [A].
        velocities: dx/dt of the same curve [A/fs].
    """

    positions: Curves
    velocities: Curves


class Interpolator(nn.Module, ABC):
    """Turns the two anchors of a gap and a list of times into a path through the gap.

    Every interpolator meets both anchors' positions exactly where it is bidirectional, the one that it starts from
    otherwise; accepts any times in [0, gap], in increasing order; and gives for a batch what it gives one by one.
    """

    context: ClassVar[int] = 0
    """How many known frames beyond each anchor it wants to see."""

    needs_velocities: ClassVar[bool] = True
    """Whether it reads the anchors' velocities."""

    needs_forces: ClassVar[bool] = False
    """Whether it reads the anchors' accelerations."""

    @abstractmethod
    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The path at the given times [fs] after the first anchor.

        Raises:
            DataError: If the times do not lie in [0, gap] in increasing order, or the anchors lack what is needed.
            SolverError: If an ODE cannot be solved.
        """


def check_times(times: Times, gap: float) -> None:
    """Raise DataError unless the times lie in [0, gap] in increasing order."""
    slack = 1e-5 * gap
    if len(times) == 0:
        raise DataError("a path needs at least one query time, but none came")
    if float(times[0]) < -slack or float(times[-1]) > gap + slack:
        raise DataError(f"query times must lie in [0, {gap:g}] fs, but span {float(times[0]):g}..{float(times[-1]):g}")
    if bool((times[1:] <= times[:-1]).any()):
        raise DataError("query times must increase")
