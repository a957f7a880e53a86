"""`Plan`: a reconstruction with the model of a run, and what a user should know before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.formats import holds, open_reader
from neuralmd.data.gaps import Gaps, gaps_of
from neuralmd.data.trust import TRUST_FIELDS
from neuralmd.evaluation.inferred import dynamics_if_any
from neuralmd.evaluation.methods import directions, named, splines
from neuralmd.interpolators.coarse import about_velocities
from neuralmd.reconstruction.request import Fallback, Reconstruction
from neuralmd.runs import TrainedRun
from neuralmd.training.checkpoint import require_same_atoms


@dataclass(frozen=True)
class Wishes:
    """What a user asks for.

    Attributes:
        stride: Frames from one anchor to the next in what comes out.
        method: A direction of the run's model or a spline, by name; none for the model itself.
        timestep: Time from anchor to anchor [fs], for a coarse file that does not state it.
        declared: What else there is to say about the coarse file.
        wrap: Whether positions shall be put back into a periodic cell.
        max_error: Largest error bar of a frame whose gap gets no flag [A]; none for no limit.
        fallback: What becomes of a gap beyond that limit.
    """

    stride: int
    method: str | None = None
    timestep: float | None = None
    declared: Declared = AS_IT_IS
    wrap: bool = False
    max_error: float | None = None
    fallback: Fallback = Fallback.NONE


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be done to a coarse file.

    Attributes:
        coarse: The file.
        how: The method and all else.
        gaps: The file's gaps.
        trained: The run.
        is_model: Whether the method is a direction of the run's model, and not a spline.
    """

    coarse: Path
    how: Reconstruction
    gaps: Gaps
    trained: TrainedRun
    is_model: bool

    @classmethod
    def of(cls, trained: TrainedRun, coarse: Path, wishes: Wishes) -> Plan:
        """The plan for a run, a file and what the user asks for.

        Raises:
            ConfigError: If there is no such method.
            DataError: If the file cannot be read.
            CheckpointError: If it is of another molecule than the run.
        """
        with open_reader(coarse, timestep=wishes.timestep, declared=wishes.declared) as reader:
            require_same_atoms(trained.system, reader.system, coarse)
        own = directions(trained.model)
        name = wishes.method or list(own)[-1]
        how = Reconstruction(
            named(name, {**splines(), **own}),
            wishes.stride,
            trained_on=trained.system,
            metadata={"method": name, "run": trained.folder.name, "trained_timestep_fs": f"{trained.timestep:g}"},
            timestep=wishes.timestep,
            declared=wishes.declared,
            wrap=wishes.wrap,
            dynamics=dynamics_if_any(trained.model, trained.system),
            seen=trained.seen if name in own else None,
            max_error=wishes.max_error,
            fallback=wishes.fallback,
        )
        return cls(coarse, how, gaps_of(coarse, wishes.timestep, wishes.declared), trained, name in own)

    def notes(self, output: Path) -> Iterator[str]:
        """What a user should know before it begins, a sentence each.

        Raises:
            DataError: If the file cannot be read.
            SolverError: If its velocities cannot be inferred at all.
        """
        how = self.how
        for gap in self.gaps.lengths:
            if remark := how.method.remark(gap):
                yield remark
        yield from self.gaps.notes
        if self.is_model:
            yield from self.gaps.about_step(self.trained.timestep)
        with open_reader(self.coarse, timestep=how.timestep, declared=how.declared) as reader:
            infers = how.infers(reader)
        if infers and how.dynamics is not None:
            yield from about_velocities(self.coarse, how.dynamics, how.timestep, how.declared)
        yield from self._about_trust(output, infers=infers)

    def _about_trust(self, output: Path, *, infers: bool) -> Iterator[str]:
        method = self.how.method.for_inferred_velocities() if infers else self.how.method
        has_bars = any(method.error_bar_level(gap) is not None for gap in self.gaps.lengths)
        if not has_bars and any(self.how.method.error_bar_level(gap) is not None for gap in self.gaps.lengths):
            yield (
                "there are no error bars, since velocities are inferred, and those of the run hold for known ones: "
                "calibrate some with `neuralmd fit-correction` and model.error_bars.inferred_strides"
            )
        if self.is_model and self.trained.seen is None:
            yield (
                f"{self.trained.folder} does not say what it was trained on, since an earlier version made it: gaps "
                "that are unlike its training data get no flag; train again"
            )
        if (has_bars or self.how.seen is not None) and not TRUST_FIELDS & holds(output):
            yield f"a {output.suffix} file holds no error bars and no flags of frames; .h5, .extxyz and .npz do"
