"""A trajectory file whose numbers are in other units than its format has, as the user says."""

from __future__ import annotations

from dataclasses import replace

from neuralmd.data.declared import LengthUnit, VelocityUnit
from neuralmd.data.files import TrajectoryReader
from neuralmd.data.trajectory import Trajectory


class RescaledReader(TrajectoryReader):
    """Reads the numbers of another reader's file as if they were in the given units.

    Args:
        inner: The reader that takes the numbers to be in its `length_unit` and `velocity_unit`.
        length_unit: What lengths are in; none for what the inner reader takes them for.
        velocity_unit: What velocities are in; none for what the inner reader takes them for.
    """

    def __init__(
        self, inner: TrajectoryReader, length_unit: LengthUnit | None, velocity_unit: VelocityUnit | None
    ) -> None:
        self._inner = inner
        self.length_unit = length_unit or inner.length_unit
        self.velocity_unit = velocity_unit or inner.velocity_unit
        self._length = self.length_unit.factor / inner.length_unit.factor
        self._velocity = self.velocity_unit.factor / inner.velocity_unit.factor
        self.system = replace(inner.system, cell=inner.system.cell * self._length)
        self.segments, self.fields, self.metadata = inner.segments, inner.fields, inner.metadata
        self.velocity_source, self.notes, self.unwrapped = inner.velocity_source, inner.notes, inner.unwrapped

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        block = self._inner.read(start, stop)
        velocities = block.velocities
        return replace(
            block,
            system=self.system,
            positions=block.positions * self._length,
            velocities=None if velocities is None else velocities * self._velocity,
        )

    def close(self) -> None:
        """Close the file."""
        self._inner.close()
