"""`evaluate`: every method on the same windows, in one result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from neuralmd.data.trajectory import VelocitySource
from neuralmd.data.windows import Frames
from neuralmd.evaluation.metrics import HiddenFrameErrors, hidden_frame_errors
from neuralmd.interpolators.base import Interpolator


@dataclass(frozen=True)
class Evaluation:
    """Errors of several methods on the same windows.

    Attributes:
        source: What was evaluated on, in words.
        stride: Frames from anchor to anchor, K.
        gap: Time from anchor to anchor [fs].
        windows: Number of windows.
        velocity_source: Where the anchors' velocities come from.
        methods: The errors by method.
        notes: What should be known of the anchors' velocities, a sentence each.
    """

    source: str
    stride: int
    gap: float
    windows: int
    velocity_source: VelocitySource
    methods: Mapping[str, HiddenFrameErrors]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        maes = ", ".join(f"{name} {errors.mae:.2e}" for name, errors in self.methods.items())
        return f"Evaluation({self.windows} gaps of {self.gap:.4g} fs, MAE [A]: {maes})"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "source": self.source,
            "stride": self.stride,
            "gap_fs": self.gap,
            "windows": self.windows,
            "velocities": str(self.velocity_source),
            "notes": list(self.notes),
            "methods": {name: errors.to_dict() for name, errors in self.methods.items()},
        }


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows to evaluate on.

    Attributes:
        source: What they come from, in words.
        frames: The fine trajectory.
        starts: First anchor of each.
        stride: Frames from anchor to anchor.
        velocity_source: Where the velocities come from.
        notes: What should be known of them, a sentence each.
    """

    source: str
    frames: Frames
    starts: Int[Tensor, " windows"]
    stride: int
    velocity_source: VelocitySource
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        gap = self.stride * self.frames.timestep
        return f"Windows({len(self.starts)} gaps of {gap:.4g} fs, stride {self.stride}, of {self.source})"


def evaluate(
    methods: Mapping[str, Interpolator], windows: Windows, advance: Callable[[int], None] | None = None
) -> Evaluation:
    """Rebuild the hidden frames of all windows by every method.

    Args:
        methods: Interpolators by name.
        windows: What to rebuild.
        advance: Called with the number of windows done, all methods together.

    Raises:
        DataError: If there is no window.
        SolverError: If an ODE cannot be solved.
    """
    count = len(windows.starts)
    results = {}
    for index, (name, method) in enumerate(methods.items()):

        def done(within: int, before: int = index * count) -> None:
            if advance is not None:
                advance(before + within)

        results[name] = hidden_frame_errors(method, windows.frames, windows.starts, windows.stride, advance=done)
    return Evaluation(
        source=windows.source,
        stride=windows.stride,
        gap=windows.stride * windows.frames.timestep,
        windows=count,
        velocity_source=windows.velocity_source,
        methods=results,
        notes=windows.notes,
    )
