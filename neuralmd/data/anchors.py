"""`Anchors`: the known frames at either end of a gap."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from neuralmd.system import Accelerations, Curves, PhaseState


@dataclass(frozen=True, eq=False)
class Boundary:
    """Consecutive fine frames at one anchor, the anchor included, in order of time.

    Attributes:
        positions: x [A].
        velocities: v [A/fs].
    """

    positions: Curves
    velocities: Curves

    def members(self, rows: slice) -> Boundary:
        """The frames of some members of the batch."""
        return Boundary(self.positions[:, rows], self.velocities[:, rows])


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
        before: Fine frames up to and including the first anchor. None if nobody asked for more than the anchor.
        after: Fine frames from the second anchor on. None if nobody asked for more than the anchor.
    """

    start: PhaseState
    end: PhaseState
    gap: float
    start_acceleration: Accelerations | None = None
    end_acceleration: Accelerations | None = None
    context: Float[Tensor, "knots batch atoms 3"] | None = None
    before: Boundary | None = None
    after: Boundary | None = None

    def __repr__(self) -> str:
        batch, atoms, _ = self.start.positions.shape
        return f"Anchors(gap {self.gap:.6g} fs, batch {batch}, {atoms} atoms)"

    def members(self, rows: slice) -> Anchors:
        """The anchors of some members of the batch."""
        return Anchors(
            start=PhaseState(self.start.positions[rows], self.start.velocities[rows]),
            end=PhaseState(self.end.positions[rows], self.end.velocities[rows]),
            gap=self.gap,
            start_acceleration=None if self.start_acceleration is None else self.start_acceleration[rows],
            end_acceleration=None if self.end_acceleration is None else self.end_acceleration[rows],
            context=None if self.context is None else self.context[:, rows],
            before=None if self.before is None else self.before.members(rows),
            after=None if self.after is None else self.after.members(rows),
        )
