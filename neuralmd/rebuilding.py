"""`rebuild`: a coarse trajectory in memory becomes fine. `neuralmd.reconstruction` does it with files of any size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from neuralmd.data.objects import trajectory
from neuralmd.data.trajectory import Trajectory, VelocitySource, concatenate
from neuralmd.data.trust import Trust, join
from neuralmd.errors import ConfigError, DataError
from neuralmd.evaluation.inferred import dynamics_if_any
from neuralmd.evaluation.methods import directions
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.coarse import with_velocities
from neuralmd.interpolators.doubts import Doubts
from neuralmd.interpolators.shooting import Dynamics
from neuralmd.interpolators.watching import Watch, Watched, fill_watched
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
    max_error: float | None = None,
    fallback: Interpolator | None = None,
) -> Trajectory:
    """Fill the gaps of a coarse trajectory: every frame of it stays, and `stride - 1` come between each two.

    Velocities that the method needs and the frames lack are inferred from the positions, and a warning says how well.
    Where the method has error bars, or the run says what it was trained on, `Trajectory.trust` of what comes out holds
    bars and flags; a warning tells of gaps that are unlike the training data.

    Args:
        coarse: A `Trajectory`, a file, a list of ASE's `Atoms`, or an MDAnalysis `Universe`.
        model: A trained run, its folder or model file, or any interpolator: a spline, or a model built by hand.
        stride: Frames from one known frame to the next in what comes out; none for the time step that the run was
            trained on.
        timestep: Time from known frame to known frame [fs], for what does not state it.
        max_error: Largest error bar of a frame whose gap gets no flag [A]; none for no limit.
        fallback: What fills the gaps beyond that limit in place of the method, as `CubicHermite()`; none to leave them.

    Returns:
        The fine trajectory; it has velocities if the coarse one has, or if they were inferred.

    Raises:
        DataError: If the trajectory cannot be read, has no gap, or lacks what the method needs; if the stride is
            missing or below 2.
        ConfigError: If there is a limit for error bars, and none are there; or a fallback, and no limit.
        CheckpointError: If there is no model, or it is of another molecule.
        SolverError: If an ODE cannot be solved.
    """
    known = trajectory(coarse, timestep=timestep)
    if isinstance(model, str | Path):
        model = load_run(model)
    if isinstance(model, TrainedRun):
        require_same_atoms(model.system, known.system, Path("the coarse trajectory"))
        stride = stride or _stride_of(known, model.timestep)
        watch = Watch(model.seen, max_error, fallback)
        job = _Job.of(known, model.model, model.system, stride, watch)
    elif stride is None:
        raise DataError(
            "how many frames shall come from anchor to anchor? An interpolator does not say: give stride=20"
        )
    else:
        job = _Job.of(known, model, known.system, stride, Watch(None, max_error, fallback))
    parts, doubts = [], Doubts()
    with progress("rebuild", sum(max(len(part) - 1, 0) for part in known.split()), unit="gaps") as advance:
        for part in known.split():
            made, found = job.fill(part, advance, sum(len(done) // stride for done in parts))
            parts.append(made)
            doubts = doubts.plus(found, job.watch.seen)
    if job.watch.seen is not None and doubts.unlike(job.watch.seen):
        warnings.warn(doubts.about_training(job.watch.seen), stacklevel=2)
    told = {**known.metadata, **_about(model), **job.metadata(known)}
    return replace(concatenate(parts), metadata=told)


def _stride_of(known: Trajectory, timestep: float) -> int:
    ratio = known.timestep / timestep
    if abs(ratio - round(ratio)) > _WHOLE:
        raise DataError(
            f"known frames {known.timestep:g} fs apart are {ratio:.3g} of the run's time steps of {timestep:g} fs: "
            "give stride=, the number of frames from one known frame to the next"
        )
    return round(ratio)


def _about(model: TrainedRun | Interpolator) -> dict[str, str]:
    """What there is to say of a run."""
    if not isinstance(model, TrainedRun):
        return {}
    name = list(directions(model.model))[-1]
    return {"method": name, "run": model.folder.name, "trained_timestep_fs": f"{model.timestep:g}"}


def _gaps(known: Trajectory) -> list[float]:
    """The lengths of its gaps [fs]."""
    return sorted({segment.timestep for segment in known.segments if segment.length > 1})


@dataclass(frozen=True, eq=False)
class _Job:
    """How gaps are filled.

    Attributes:
        method: What fills them.
        stride: Frames from one known frame to the next in what comes out.
        watch: What is looked at, to tell how far to trust them.
        dynamics: What infers velocities; none where none are missing.
        level: Part of all components that error bars are for; none without error bars.
    """

    method: Interpolator
    stride: int
    watch: Watch
    dynamics: Dynamics | None
    level: float | None

    @classmethod
    def of(cls, known: Trajectory, method: Interpolator, system: System, stride: int, watch: Watch) -> _Job:
        """Raise DataError or ConfigError if the method cannot fill the gaps; warn of what it will lack."""
        _check(known, method, stride)
        dynamics = None
        for gap in _gaps(known):
            if remark := method.remark(gap):
                warnings.warn(remark, stacklevel=3)
        if method.needs_velocities and known.velocities is None:
            dynamics, method = dynamics_if_any(method, system), method.for_inferred_velocities()
            if dynamics is None:
                raise DataError("the trajectory holds no velocities, which this method needs and cannot infer")
        levels = [method.error_bar_level(gap) for gap in _gaps(known)]
        _check_limit(watch, levels)
        return cls(method, stride, watch, dynamics, next((level for level in levels if level is not None), None))

    def fill(self, part: Trajectory, advance: Advance, before: int) -> tuple[Trajectory, Doubts]:
        """The fine frames of one segment, and what there is to say of its gaps; `before` gaps are done already."""
        if self.dynamics is not None and len(part) > 1:
            part, told = with_velocities(part, self.dynamics)
            for each in told:
                warnings.warn(each, stacklevel=3)
        blocks: list[Watched] = []
        last = len(part) - 1
        for first in range(0, last, _GAPS_AT_ONCE):
            gaps = range(first, min(first + _GAPS_AT_ONCE, last))
            blocks.append(fill_watched(self.method, part, gaps, self.stride, self.watch))
            advance(before + gaps.stop)
        velocities = None
        if part.velocities is not None:
            moving = (each.velocities for each in blocks if each.velocities is not None)
            velocities = np.concatenate((*moving, part.velocities[-1:]))
        fine = Trajectory.uniform(
            part.system,
            np.concatenate((*(each.positions for each in blocks), part.positions[-1:])),
            part.timestep / self.stride,
            velocities=velocities,
            velocity_source=None if velocities is None else VelocitySource.RECONSTRUCTED,
        )
        trust = join([*(each.trust for each in blocks), Trust.anchors(1, part.system.atoms)])
        doubts = reduce(lambda one, other: one.plus(other, self.watch.seen), (each.doubts for each in blocks), Doubts())
        return replace(fine, trust=self._kept(trust)), doubts

    def _kept(self, trust: Trust | None) -> Trust | None:
        """What of it says something."""
        if trust is None or self.level is not None:
            return trust
        return None if self.watch.seen is None else Trust(trust.flags)

    def metadata(self, known: Trajectory) -> dict[str, str]:
        """What is to be said of all that was filled, as `neuralmd reconstruct` writes it."""
        anchors = known.velocity_source or "none" if self.dynamics is None else VelocitySource.INFERRED
        told = {"reconstructed_stride": str(self.stride), "anchor_velocities": str(anchors)}
        if self.level is not None:
            told["error_bar_level"] = f"{self.level:g}"
        if self.level is not None or self.watch.seen is not None:
            told["compared_with_training_data"] = "no" if self.watch.seen is None else "yes"
        if self.watch.limit is not None:
            fallback = "none" if self.watch.fallback is None else "spline"
            told |= {"max_error_A": f"{self.watch.limit:g}", "fallback": fallback}
        return told


def _check(known: Trajectory, method: Interpolator, stride: int) -> None:
    if stride < 2:
        raise DataError(f"the stride must be at least 2, or there is nothing to rebuild, but is {stride}")
    if all(segment.length < 2 for segment in known.segments):
        raise DataError("one frame is no gap to fill; a coarse trajectory needs at least two frames")
    if method.boundary_frames > 1:
        raise DataError(
            f"this method reads {method.boundary_frames} consecutive fine frames at each anchor, which no coarse "
            "trajectory has"
        )
    if method.needs_forces and known.forces is None:
        raise DataError("the trajectory holds no forces, which this method needs")


def _check_limit(watch: Watch, levels: Sequence[float | None]) -> None:
    if watch.limit is None:
        if watch.fallback is not None:
            raise ConfigError("a fallback needs a limit beyond which it is taken: give max_error as well")
        return
    if not watch.limit > 0:
        raise ConfigError(f"max_error should be an error bar above 0 [A], but is {watch.limit:g}")
    if None in levels:
        raise ConfigError(
            "max_error needs error bars, but this method has none for gaps of this length, or for inferred velocities: "
            "leave it out"
        )
