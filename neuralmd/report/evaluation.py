"""The evaluation of a trained run: which methods and windows, and the files that it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from neuralmd import build
from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.objects import trajectory
from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import VelocitySource
from neuralmd.data.windows import Frames
from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Evaluation, Windows, evaluate
from neuralmd.evaluation.inferred import anchors_of, dynamics_of, with_inferred_velocities
from neuralmd.evaluation.methods import applicable, directions, splines
from neuralmd.evaluation.unlike import doubts_of
from neuralmd.interpolators.base import Interpolator
from neuralmd.report.plots import plot_error_over_gap, plot_paths
from neuralmd.runs import TrainedRun, load_run
from neuralmd.training.checkpoint import require_same_atoms


@dataclass(frozen=True, eq=False)
class Assessment:
    """What an evaluation of a run will do.

    Attributes:
        folder: Where its results go: the run's folder.
        methods: The splines and the run's directions.
        windows: Consecutive windows, each anchor shared by two of them.
    """

    folder: Path
    methods: Mapping[str, Interpolator]
    windows: Windows

    def __repr__(self) -> str:
        return f"Assessment({', '.join(self.methods)} on {self.windows})"

    @classmethod
    def of(
        cls,
        run: TrainedRun | Path | str,
        data: Any = None,
        stride: int | None = None,
        device: str = "auto",
        declared: Declared = AS_IT_IS,
    ) -> Assessment:
        """Prepare an evaluation.

        Args:
            run: The run, or its folder.
            data: A fine trajectory, of which all frames are used: a file, or whatever else
                `neuralmd.data.objects.trajectory` takes; none for the test part of the run's own.
            stride: Frames from anchor to anchor; none for the run's.
            device: `auto`, `cpu` or `cuda`; a run that is loaded stays where it is.
            declared: What there is to say about the file of `data`, where the run's configuration does not.

        Raises:
            CheckpointError: If the run has no model, or the data are of another molecule.
            DataError: If the data cannot be read or are shorter than the stride.
        """
        trained = run if isinstance(run, TrainedRun) else load_run(run, device)
        chosen = trained.config.data.stride if stride is None else stride
        if chosen < 2:
            raise DataError(f"the stride must be at least 2, or no frame is hidden, but is {chosen}")
        windows = _own(trained, chosen) if data is None else _other(trained, data, chosen, declared)
        if len(windows.starts) == 0:
            raise DataError(f"{windows.source} is shorter than one window of stride {chosen}: lower the stride")
        windows = _compared(windows, trained.seen)
        methods = applicable(
            {**splines(), **directions(trained.model)}, forces=windows.frames.accelerations is not None
        )
        return cls(trained.folder, methods, windows)

    @property
    def work(self) -> int:
        """Number of windows to rebuild, all methods together."""
        return len(self.methods) * len(self.windows.starts)

    @property
    def anchors(self) -> int:
        """Number of anchors of all windows."""
        return anchors_of(self.windows)

    def inferring(self, advance: Callable[[int], None] | None = None) -> Assessment:
        """The same with velocities that the run's field infers from the anchors' positions, and nothing else.

        Args:
            advance: Called with the number of anchors done.

        Raises:
            ConfigError: If the run has no field.
            SolverError: If not a single gap can be solved.
        """
        dynamics = dynamics_of(list(self.methods.values())[-1], self.windows.frames.system)
        windows = with_inferred_velocities(self.windows, dynamics, advance=advance)
        methods = {name: method.for_inferred_velocities() for name, method in self.methods.items()}
        return replace(self, methods=applicable(methods, forces=False), windows=windows)

    def run(self, advance: Callable[[int], None] | None = None) -> Evaluation:
        """Rebuild the hidden frames by every method; `advance` takes the number of windows done."""
        return evaluate(self.methods, self.windows, advance)

    def write(self, result: Evaluation, copy: Path | None = None) -> list[Path]:
        """Write the result and its figures into the run's folder; returns the figures.

        Args:
            result: What `run` gave.
            copy: Where else the JSON goes.
        """
        policy = "-inferred" if result.velocity_source is VelocitySource.INFERRED else ""
        folder = self.folder / f"evaluation-stride{result.stride}{policy}"
        folder.mkdir(exist_ok=True)
        text = json.dumps(result.to_dict(), indent=2) + "\n"
        for target in [folder / "errors.json", *([] if copy is None else [copy])]:
            target.write_text(text, encoding="utf-8")
        figures = [folder / "paths.png", folder / "error-over-gap.png"]
        plot_paths(self.methods, self.windows, figures[0])
        plot_error_over_gap(result, figures[1])
        return figures


def _compared(windows: Windows, seen: Seen | None) -> Windows:
    """The same with a note if some are unlike the training data."""
    doubts = None if seen is None else doubts_of(windows, seen)
    if seen is None or doubts is None or not doubts.strange:
        return windows
    return replace(windows, notes=(*windows.notes, doubts.about_training(seen)))


def _own(trained: TrainedRun, stride: int) -> Windows:
    """Windows of the test part of a run's own file."""
    own = build.dataset(trained.config.data, _device(trained))
    require_same_atoms(trained.system, own.frames.system, trained.config.data.path)
    starts = own.split.test.starts(stride, stride, trained.model.boundary_frames - 1)
    files = (trained.config.data.path, *trained.config.data.also)
    source = f"{', '.join(map(str, files))} (test part)"
    return Windows(source, own.frames, starts, stride, own.velocity_source)


def _other(trained: TrainedRun, data: Any, stride: int, declared: Declared) -> Windows:
    """Windows of all of another trajectory."""
    config = trained.config.data
    if isinstance(data, str | Path):
        source, whole = str(data), build.trajectory(config, Path(data), declared)
    else:
        source, held = "the trajectory", trajectory(data, timestep=declared.timestep or config.timestep)
        whole = build.usable(config, held, source)
    require_same_atoms(trained.system, whole.system, Path(source))
    if whole.velocity_source is None:
        raise DataError(f"{source}: does not say where its velocities come from")
    starts = build.everything(whole).starts(stride, stride, trained.model.boundary_frames - 1)
    return Windows(source, Frames.of(whole, _device(trained)), starts, stride, whole.velocity_source)


def _device(trained: TrainedRun) -> torch.device:
    return next((parameter.device for parameter in trained.model.parameters()), torch.device("cpu"))
