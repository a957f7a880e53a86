"""`Reconstruction`: what a user asks for, and whether a coarse file allows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import TrajectoryReader
from neuralmd.data.seen import Seen
from neuralmd.errors import ConfigError, DataError
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.shooting import Dynamics
from neuralmd.system import System


class Fallback(StrEnum):
    """What becomes of a gap whose error bar is above the limit."""

    NONE = "none"
    """It stays as the method fills it, with a flag."""

    SPLINE = "spline"
    """The cubic Hermite spline fills it, or the natural cubic spline where there are no velocities."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """How to fill gaps.

    Attributes:
        method: What fills them.
        stride: Frames from one anchor to the next in what comes out; `stride - 1` are rebuilt in each gap.
        trained_on: The molecule that the method knows; none for a method that takes any.
        metadata: What the output shall say of the method.
        timestep: Time from anchor to anchor [fs], for a coarse file that does not state it.
        declared: What else the user says about the coarse file.
        wrap: Whether positions shall be put back into a periodic cell.
        dynamics: What infers the anchors' velocities for a file that has none; none to refuse it.
        seen: What the method was trained on; gaps outside it get a flag. None not to look.
        max_error: Largest error bar of a frame whose gap gets no flag [A]; none for no limit.
        fallback: What becomes of a gap beyond that limit.
    """

    method: Interpolator
    stride: int
    trained_on: System | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    timestep: float | None = None
    declared: Declared = AS_IT_IS
    wrap: bool = False
    dynamics: Dynamics | None = None
    seen: Seen | None = None
    max_error: float | None = None
    fallback: Fallback = Fallback.NONE

    def infers(self, reader: TrajectoryReader) -> bool:
        """Whether the velocities of a file's frames are inferred from their positions."""
        known = "velocities" in reader.fields
        return self.dynamics is not None and self.method.needs_velocities and not known

    def require_possible(self, reader: TrajectoryReader, coarse: Path) -> None:
        """Raise DataError, or ConfigError for settings, unless the file's gaps can be filled like this."""
        if all(segment.length < 2 for segment in reader.segments):
            raise DataError(f"{coarse}: one frame is no gap to fill; a coarse trajectory needs at least two frames")
        if self.method.boundary_frames > 1:
            raise DataError(
                f"{coarse}: this method reads {self.method.boundary_frames} consecutive fine frames at each anchor, "
                "which no coarse file has; train with model.boundary_frames=1, or take another --method"
            )
        if self.method.needs_velocities and "velocities" not in reader.fields and not self.infers(reader):
            raise DataError(
                f"{coarse}: holds no velocities, which this method needs; write them with the simulation, derive them "
                "from the fine frames with `neuralmd thin --velocities central`, or take --method linear or "
                "cubic_spline"
            )
        if self.method.needs_forces and "forces" not in reader.fields:
            raise DataError(f"{coarse}: holds no forces, which this method needs; take --method cubic_hermite")
        self._require_limit(reader)

    def _require_limit(self, reader: TrajectoryReader) -> None:
        if self.max_error is None and self.fallback is not Fallback.NONE:
            raise ConfigError("a fallback needs a limit beyond which it is taken: give --max-error as well")
        if self.max_error is None:
            return
        if not self.max_error > 0:
            raise ConfigError(f"--max-error should be an error bar above 0 [A], but is {self.max_error:g}")
        method = self.method.for_inferred_velocities() if self.infers(reader) else self.method
        for segment in reader.segments:
            if segment.length > 1 and method.error_bar_level(segment.timestep) is None:
                why = "anchors whose velocities are inferred" if self.infers(reader) else f"{segment.timestep:g} fs"
                raise ConfigError(
                    f"--max-error needs error bars, but this method has none for gaps of {why}: train a run whose "
                    "model.error_bars.strides lists their stride, or leave --max-error out"
                )
