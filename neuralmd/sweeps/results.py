"""What came out of a sweep, read from its folder: its trials in order, and the names that tables give settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralmd.config.selection import CONFIG_KEY
from neuralmd.errors import ConfigError
from neuralmd.sweeps import records
from neuralmd.sweeps.distributions import Value
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.space import Sweep

_DIGITS = 3


@dataclass(frozen=True)
class Setting:
    """A varied key, as tables and figures name it.

    Attributes:
        key: The key.
        config: The name of the only configuration that it counts for; none for all.
        label: The last parts of its path that tell it from the others of the same configuration.
    """

    key: str
    config: str | None
    label: str

    @property
    def title(self) -> str:
        """The label, after the configuration."""
        return self.label if self.config is None else f"{self.config}: {self.label}"


@dataclass(frozen=True, eq=False)
class Results:
    """The trials of a sweep.

    Attributes:
        folder: Where they are.
        sweep: What they were drawn from.
        ranked: Those with a value, the best first.
        failed: Those that failed.
        unfinished: Those that still run, or whose worker died and that wait.
    """

    folder: Path
    sweep: Sweep
    ranked: tuple[Record, ...]
    failed: tuple[Record, ...]
    unfinished: tuple[Record, ...]

    @classmethod
    def of(cls, folder: Path) -> Results:
        """The trials of the sweep in a folder.

        Raises:
            ConfigError: If there is no sweep, or none of its trials has a value.
        """
        sweep = records.kept(folder)
        found = records.read(folder)
        done = [one for one in found if one.state in {"complete", "pruned"} and one.value is not None]
        failed = tuple(one for one in found if one.state == "failed")
        if not done:
            reason = f"all {len(failed)} so far failed, the first: {failed[0].error}" if failed else "none is done yet"
            raise ConfigError(f"{folder}: no trial has a value: {reason}")
        rest = tuple(one for one in found if one not in done and one not in failed)
        return cls(folder, sweep, tuple(in_order(sweep, done)), failed, rest)

    @property
    def settings(self) -> list[Setting]:
        """The varied keys, in the order of the file; the configuration first."""
        return settings_of(self.sweep)

    @property
    def best(self) -> Record:
        """The best trial."""
        return self.ranked[0]

    def best_of_each(self) -> dict[str, Record]:
        """The best trial of every configuration, by the configuration's name; empty if there is but one."""
        best: dict[str, Record] = {}
        for record in self.ranked:
            if CONFIG_KEY in record.values:
                best.setdefault(Path(str(record.values[CONFIG_KEY])).stem, record)
        return best if len(best) > 1 else {}


def in_order(sweep: Sweep, found: Sequence[Record]) -> list[Record]:
    """Trials with a value, the best first."""
    sign = 1.0 if sweep.metric.goal == "minimize" else -1.0
    return sorted(found, key=lambda one: math.inf if one.value is None else sign * one.value)


def settings_of(sweep: Sweep) -> list[Setting]:
    """The varied keys of a sweep with their names; the configuration first."""
    swept = sweep.parameters.get(CONFIG_KEY)
    stems = [Path(str(value)).stem for value in (swept.values() or ())] if swept is not None else []
    split: dict[str, tuple[str | None, str]] = {}
    for key in sorted(sweep.varied, key=lambda key: key != CONFIG_KEY):
        owner = next((stem for stem in sorted(stems, key=len, reverse=True) if key.startswith(f"{stem}.")), None)
        split[key] = (owner, key if owner is None else key.removeprefix(f"{owner}."))
    found = []
    for key, (owner, path) in split.items():
        rivals = [other for one, (name, other) in split.items() if one != key and name in {owner, None}]
        found.append(Setting(key, owner, _shortest(path, rivals)))
    return found


def describe(settings: Sequence[Setting], values: Mapping[str, Value]) -> str:
    """The varied values of a trial in one line."""
    return ", ".join(f"{one.label} {shown(values[one.key])}" for one in settings if one.key in values)


def shown(value: Value) -> str:
    """A value as a table shows it: numbers short, a configuration by its name, a block without its braces."""
    match value:
        case bool() | None:
            return str(value).lower()
        case float():
            return f"{value:.{_DIGITS}g}"
        case dict():
            head, *rest = [shown(inner) if key == "kind" else f"{key} {shown(inner)}" for key, inner in value.items()]
            return " ".join([head, *rest])
        case list() | tuple():
            return "[" + ", ".join(shown(inner) for inner in value) + "]"
        case _:
            text = str(value)
            return Path(text).stem if text.endswith((".yaml", ".yml")) else text


def summary(sweep: Sweep, done: Sequence[Record], trials: int) -> str:
    """What came out of a sweep, in one line."""
    counts = ", ".join(
        f"{count} {state}"
        for state in ("complete", "pruned", "failed")
        if (count := sum(one.state == state for one in done))
    )
    rest = "" if len(done) >= trials else f", {trials - len(done)} left: --resume goes on"
    best = next((one for one in in_order(sweep, done) if one.value is not None), None)
    found = "" if best is None else f"; best {sweep.metric.name} {best.value:.3e} in {best.name}"
    settings = "" if best is None else f" ({describe(settings_of(sweep), best.values)})"
    return f"{len(done)} of {trials} trials done ({counts or 'none'}{rest}){found}{settings}"


def _shortest(path: str, rivals: Sequence[str]) -> str:
    """The fewest last parts of a path that no rival ends with."""
    parts = path.split(".")
    for count in range(1, len(parts)):
        tail = ".".join(parts[-count:])
        if not any(rival == tail or rival.endswith(f".{tail}") for rival in rivals):
            return tail
    return path
