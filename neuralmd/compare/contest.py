"""The contestants of a comparison: experiments and seeds, and the trainings that they still need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralmd.config import Experiment, load
from neuralmd.errors import ConfigError
from neuralmd.runs import experiment_of, is_trained, require_alike, train
from neuralmd.training.loop import LAST

_ADVICE = "give another run.name, or run.root=FOLDER for all of them, or delete that folder"


@dataclass(frozen=True)
class Member:
    """One training of a contestant.

    Attributes:
        seed: Its seed.
        folder: Its run.
        experiment: What to train; none for a run that was given as it is.
    """

    seed: int
    folder: Path
    experiment: Experiment | None


@dataclass(frozen=True)
class Contestant:
    """An experiment with all of its seeds.

    Attributes:
        label: Its name in tables.
        members: Its trainings.
    """

    label: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Entry:
    """What a user enters.

    Attributes:
        path: A configuration to train, or the folder of a run.
        seeds: Trainings of a configuration; none for what the comparison has.
    """

    path: Path
    seeds: int | None = None

    @classmethod
    def parse(cls, text: str) -> Entry:
        """`PATH`, or `PATH:SEEDS` for a configuration with another number of trainings than the rest.

        Raises:
            ConfigError: If SEEDS is not a whole number of at least 1.
        """
        path, colon, seeds = text.rpartition(":")
        if not colon or not path.endswith((".yaml", ".yml")):
            return cls(Path(text))
        if not (seeds.isascii() and seeds.isdigit() and int(seeds) > 0):
            raise ConfigError(f"{text}: after the colon, expected the number of seeds, at least 1, but {seeds!r} came")
        return cls(Path(path), int(seeds))


def enter(
    entries: Sequence[Entry], seeds: int, minutes: float | None, overrides: Sequence[str] = ()
) -> tuple[Contestant, ...]:
    """The contestants that configurations and runs stand for.

    A configuration is trained with `seeds` seeds, each into a run of its own whose name tells budget and seed. A run is
    taken as it is. All must have the same data: file, segments, velocities and split.

    Args:
        entries: YAML files and folders of runs.
        seeds: Trainings of each configuration; seeds count up from the configuration's own.
        minutes: Budget of each training [min]; none for the configurations' own.
        overrides: Settings, `a.b=value`, in place of those of every configuration.

    Raises:
        ConfigError: If nothing or something twice is entered, the data differ, or a run of that name has been trained
            with other settings.
        CheckpointError: If a run has no model.
    """
    if not entries:
        raise ConfigError("nothing to compare: name configurations (.yaml) or runs")
    entered = [
        _of_run(entry.path) if entry.path.is_dir() else _of_config(entry, entry.seeds or seeds, minutes, overrides)
        for entry in entries
    ]
    labels = [contestant.label for contestant, _ in entered]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise ConfigError(f"{', '.join(sorted(twice))}: entered twice; give each configuration its own run.name")
    first_path, first = entries[0].path, _data(entered[0][1])
    for entry, (_, experiment) in zip(entries, entered, strict=True):
        if different := [key for key, value in _data(experiment).items() if value != first[key]]:
            raise ConfigError(
                f"{entry.path}: data.{different[0]} is {_data(experiment)[different[0]]}, but {first_path} has "
                f"{first[different[0]]}; a comparison is fair on the same data and the same split only"
            )
    contestants = tuple(contestant for contestant, _ in entered)
    for member in (member for contestant in contestants for member in contestant.members):
        if member.experiment is not None:
            require_alike(member.experiment, _ADVICE)
    return contestants


def train_member(member: Member, advance: Callable[[int], None] | None = None) -> None:
    """Train a member unless it is trained; go on where an earlier training was stopped.

    Raises:
        NeuralMDError: If the training fails.
    """
    if member.experiment is None or is_trained(member.experiment):
        return
    resume = (member.folder / LAST).is_file()
    train(member.experiment, resume=resume, overwrite=not resume, advance=advance)


def _of_config(
    entry: Entry, seeds: int, minutes: float | None, overrides: Sequence[str]
) -> tuple[Contestant, Experiment]:
    base = load(entry.path, overrides)
    training = base.training
    if minutes is not None:
        training = training.model_copy(update={"max_minutes": minutes, "max_steps": None})
    budget = f"{training.max_minutes:g}min" if training.max_minutes is not None else f"{training.max_steps}steps"
    members = []
    for seed in range(base.seed, base.seed + seeds):
        run = base.run.model_copy(update={"name": f"{base.run.name}-{budget}-seed{seed}"})
        experiment = base.model_copy(update={"run": run, "seed": seed, "training": training})
        members.append(Member(seed, run.folder, experiment))
    return Contestant(base.run.name, tuple(members)), base


def _of_run(folder: Path) -> tuple[Contestant, Experiment]:
    experiment = experiment_of(folder)
    return Contestant(experiment.run.name, (Member(experiment.seed, folder, None),)), experiment


def _data(experiment: Experiment) -> dict[str, object]:
    return experiment.data.model_dump(mode="json", exclude={"stride"})
