"""Where the trajectories of an analysis come from: files, or what runs and splines rebuild."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.formats import open_reader, read
from neuralmd.data.order import require_trajectory
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.unit_checks import check_units
from neuralmd.errors import ConfigError, DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.methods import named, splines
from neuralmd.interpolators.base import Interpolator
from neuralmd.report.evaluation import Assessment
from neuralmd.report.families import family_of
from neuralmd.runs import experiment_of


@dataclass(frozen=True, eq=False)
class Rebuilders:
    """Methods, and the windows that all of them rebuild.

    Attributes:
        methods: By the name that figures show, splines first.
        families: The family of each; see `neuralmd.report.families`.
        windows: Consecutive windows.
    """

    methods: Mapping[str, Interpolator]
    families: Mapping[str, str | None]
    windows: Windows

    @classmethod
    def of(
        cls,
        runs: Sequence[str],
        stride: int | None = None,
        data: Path | None = None,
        beside: Sequence[str] = (),
        labels: Sequence[str] | None = None,
        declared: Declared = AS_IT_IS,
    ) -> Rebuilders:
        """The models of runs, and splines.

        Args:
            runs: Folders of runs, or `RUN:METHOD` for one direction of a run's model, as runs/lstm:lstm_forward.
            stride: Frames from anchor to anchor; none for the first run's.
            data: A fine trajectory to rebuild; none for the test part of the runs' own.
            beside: Names of splines.
            labels: A name for each run; none for the names of their folders.
            declared: What there is to say about the file of `data`.

        Raises:
            ConfigError: If a method is unknown, runs share a name, or they are tested on different windows.
            CheckpointError: If a run has no model.
            DataError: If the data cannot be read.
        """
        chosen = {name: named(name, splines()) for name in beside}
        families: dict[str, str | None] = {name: name for name in chosen}
        windows: Windows | None = None
        names = labelled([Path(run).name for run in runs], runs, labels)
        for run, name in zip(runs, names, strict=True):
            folder, _, direction = run.partition(":")
            stride = stride or experiment_of(Path(folder)).data.stride
            own = Assessment.of(Path(folder), data, stride, declared=declared)
            windows = windows or own.windows
            _require_same(windows, own.windows, run, runs[0])
            final = list(own.methods)[-1]
            if name in chosen or name in splines():
                raise ConfigError(f"{run}: {name} is the name of a spline too: give --labels")
            chosen[name] = named(direction or final, own.methods)
            families[name] = family_of(experiment_of(Path(folder))) if direction in ("", final) else direction
        if windows is None:
            raise ConfigError("nothing to rebuild: name runs")
        if windows.frames.accelerations is None and (bad := [name for name in beside if chosen[name].needs_forces]):
            raise ConfigError(f"{', '.join(bad)} needs forces, which {windows.source} lacks")
        return cls(chosen, families, windows)


def is_run(entry: str) -> bool:
    """Whether a word names a run or one direction of it, and not a file."""
    return Path(entry.partition(":")[0]).is_dir()


def load_trajectories(
    files: Sequence[Path],
    labels: Sequence[str] | None = None,
    declared: Sequence[Declared] | None = None,
    segments: tuple[int, ...] | None = None,
) -> dict[str, Trajectory]:
    """Read trajectory files.

    Args:
        files: The files.
        labels: A name for each; none for the names of the files.
        declared: What there is to say about each; none for nothing.
        segments: Which segments of each file; none for all.

    Raises:
        ConfigError: If there is not one label of its own for each file.
        DataError: If a file cannot be read, is no trajectory, or lacks a segment.
    """
    names = labelled([file.name for file in files], list(map(str, files)), labels)
    said = [AS_IT_IS] * len(files) if declared is None else declared
    loaded = (_load(file, how, segments) for file, how in zip(files, said, strict=True))
    return dict(zip(names, loaded, strict=True))


def remarks(files: Sequence[Path], declared: Sequence[Declared]) -> list[str]:
    """What was assumed of trajectory files, and what is suspicious about their units, a sentence each.

    Raises:
        DataError: If a file cannot be read.
    """
    found = []
    for file, how in zip(files, declared, strict=True):
        with open_reader(file, declared=how) as reader:
            found += [f"{file}: {note}" for note in (*reader.notes, *check_units(reader))]
    return found


def labelled(short: Sequence[str], full: Sequence[str], labels: Sequence[str] | None) -> list[str]:
    """A name of its own for each source: the label, or the short name, or the full one where short ones are the same.

    Raises:
        ConfigError: If there is not one label of its own for each.
    """
    names = list(short) if labels is None else list(labels)
    if labels is None and len(set(names)) < len(names):
        names = list(full)
    if len(names) != len(full):
        raise ConfigError(f"{len(full)} files or runs need as many labels, but {len(names)} came: {', '.join(names)}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigError(f"each file or run needs a label of its own, but {', '.join(twice)} came twice: --labels")
    return names


def _load(file: Path, declared: Declared, segments: tuple[int, ...] | None) -> Trajectory:
    whole = read(file, declared=declared)
    try:
        chosen = whole if segments is None else whole.select(segments)
        require_trajectory(chosen)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    return chosen


def _require_same(first: Windows, second: Windows, run: str, reference: str) -> None:
    same = first.source == second.source and first.frames.timestep == second.frames.timestep
    if not (same and torch.equal(first.starts, second.starts)):
        raise ConfigError(
            f"{run}: is tested on other windows than {reference} ({len(second.starts)} of {second.source}, and "
            f"{len(first.starts)} of {first.source}): give --data FILE, which all of them can rebuild"
        )
