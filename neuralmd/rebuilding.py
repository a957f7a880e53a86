"""`rebuild`: a coarse trajectory in memory becomes a fine one. `neuralmd.reconstruct` does it for files of any size."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neuralmd.data.objects import trajectory
from neuralmd.data.trajectory import Trajectory, VelocitySource, concatenate
from neuralmd.errors import DataError
from neuralmd.evaluation.inferred import dynamics_if_any
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.coarse import with_velocities
from neuralmd.interpolators.filling import fill
from neuralmd.progress import Advance, progress
from neuralmd.runs import TrainedRun, load_run
from neuralmd.system import System
from neuralmd.training.checkpoint import require_same_atoms

_GAPS_AT_ONCE = 64
_WHOLE = 0.01
"""Part of a time step by which a gap may miss a whole number of them."""


def rebuild(
    coarse: Any,
    model: TrainedRun | Interpolator | Path | str,
    *,
    stride: int | None = None,
    timestep: float | None = None,
) -> Trajectory:
    """Fill the gaps of a coarse trajectory: every frame of it stays, and `stride - 1` come between each two.

    Velocities that the method needs and the frames lack are inferred from the positions, and a warning says how well.

    Args:
        coarse: A `Trajectory`, a file, a list of ASE's `Atoms`, or an MDAnalysis `Universe`.
        model: A trained run, its folder or model file, or any interpolator: a spline, or a model built by hand.
        stride: Frames from one known frame to the next in what comes out; none for the time step that the run was
            trained on.
        timestep: Time from known frame to known frame [fs], for what does not state it.

    Returns:
        The fine trajectory; it has velocities if the coarse one has, or if they were inferred.

    Raises:
        DataError: If the trajectory cannot be read, has no gap, or lacks what the method needs; if the stride is
            missing or below 2.
        CheckpointError: If there is no model, or it is of another molecule.
        SolverError: If an ODE cannot be solved.
    """
    known = trajectory(coarse, timestep=timestep)
    if isinstance(model, str | Path):
        model = load_run(model)
    if isinstance(model, TrainedRun):
        require_same_atoms(model.system, known.system, Path("the coarse trajectory"))
        stride = stride or _stride_of(known, model.timestep)
        job = _Job(model.model, model.system, stride)
    elif stride is None:
        raise DataError(
            "how many frames shall come from anchor to anchor? An interpolator does not say: give stride=20"
        )
    else:
        job = _Job(model, known.system, stride)
    job.check(known)
    gaps = sum(max(len(part) - 1, 0) for part in known.split())
    parts: list[Trajectory] = []
    with progress("rebuild", gaps, unit="gaps") as advance:
        for part in known.split():
            parts.append(job.fill(part, advance, sum(len(done) // stride for done in parts)))
    return replace(concatenate(parts), metadata={**known.metadata, "reconstructed_stride": str(stride)})


def _stride_of(known: Trajectory, timestep: float) -> int:
    ratio = known.timestep / timestep
    if abs(ratio - round(ratio)) > _WHOLE:
        raise DataError(
            f"known frames {known.timestep:g} fs apart are {ratio:.3g} of the run's time steps of {timestep:g} fs: "
            "give stride=, the number of frames from one known frame to the next"
        )
    return round(ratio)


@dataclass(frozen=True, eq=False)
class _Job:
    """How gaps are filled."""

    method: Interpolator
    system: System
    stride: int

    def check(self, known: Trajectory) -> None:
        """Raise DataError if the method cannot fill the trajectory's gaps; warn of what it will lack."""
        if self.stride < 2:
            raise DataError(f"the stride must be at least 2, or there is nothing to rebuild, but is {self.stride}")
        if all(segment.length < 2 for segment in known.segments):
            raise DataError("one frame is no gap to fill; a coarse trajectory needs at least two frames")
        if self.method.boundary_frames > 1:
            raise DataError(
                f"this method reads {self.method.boundary_frames} consecutive fine frames at each anchor, which no "
                "coarse trajectory has"
            )
        if self.method.needs_forces and known.forces is None:
            raise DataError("the trajectory holds no forces, which this method needs")
        if self._infers(known) and dynamics_if_any(self.method, self.system) is None:
            raise DataError("the trajectory holds no velocities, which this method needs and cannot infer")
        for gap in sorted({segment.timestep for segment in known.segments if segment.length > 1}):
            if remark := self.method.remark(gap):
                warnings.warn(remark, stacklevel=3)

    def fill(self, part: Trajectory, advance: Advance, before: int) -> Trajectory:
        """The fine frames of one segment; `before` gaps are done already."""
        dynamics = dynamics_if_any(self.method, self.system)
        if self._infers(part) and dynamics is not None and len(part) > 1:
            part, told = with_velocities(part, dynamics)
            for each in told:
                warnings.warn(each, stacklevel=3)
        blocks: dict[str, list[np.ndarray]] = {"positions": [], "velocities": []}
        last = len(part) - 1
        for first in range(0, last, _GAPS_AT_ONCE):
            gaps = range(first, min(first + _GAPS_AT_ONCE, last))
            for name, array in fill(self.method, part, gaps, self.stride).items():
                blocks[name].append(array)
            advance(before + gaps.stop)
        positions = np.concatenate((*blocks["positions"], part.positions[-1:]))
        velocities = None
        if part.velocities is not None:
            velocities = np.concatenate((*blocks["velocities"], part.velocities[-1:]))
        source = None if velocities is None else VelocitySource.RECONSTRUCTED
        step = part.timestep / self.stride
        return Trajectory.uniform(part.system, positions, step, velocities=velocities, velocity_source=source)

    def _infers(self, known: Trajectory) -> bool:
        return self.method.needs_velocities and known.velocities is None
