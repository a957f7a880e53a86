"""What a sweep leaves in its folder beside its runs: the sweep file, and one record for each trial."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from neuralmd.config import yaml12
from neuralmd.errors import ConfigError
from neuralmd.sweeps.distributions import Value
from neuralmd.sweeps.space import Sweep, load
from neuralmd.training.history import history
from neuralmd.training.tracking import SUMMARY_FILE

SWEEP_FILE = "sweep.yaml"
"""The sweep file that the trials are drawn from."""

_RECORDS = "trials"
_MAY_CHANGE = {"run_cap", "description"}

State = Literal["running", "complete", "pruned", "failed"]
"""How far a trial is."""


@dataclass(frozen=True)
class Record:
    """A trial.

    Attributes:
        name: Its run, a folder beside the records.
        values: The drawn settings.
        state: How far it is.
        value: The metric that the sweep looks for; none if there is none yet.
        error: Why it failed, if it did.
        worker: Who has it, as HOST:PROCESS.
    """

    name: str
    values: Mapping[str, Value]
    state: State
    value: float | None = None
    error: str | None = None
    worker: str | None = None


def write(folder: Path, record: Record) -> None:
    """Put a trial's record in the place of an older one in one go."""
    target = folder / _RECORDS / f"{record.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    draft.replace(target)


def read(folder: Path) -> list[Record]:
    """The records of all trials, by name.

    Raises:
        ConfigError: If a record is none.
    """
    found = []
    for path in sorted((folder / _RECORDS).glob("*.json")):
        try:
            found.append(Record(**json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: is not the record of a trial: {error}") from None
    return found


def keep(folder: Path, sweep: Sweep) -> None:
    """Write the sweep file into its folder.

    Raises:
        ConfigError: If there is one already that draws from something else.
    """
    target = folder / SWEEP_FILE
    content = dict(sweep.content) | {"name": sweep.name}
    if target.is_file():
        former = load(target).content
        for key in sorted((former.keys() | content.keys()) - _MAY_CHANGE):
            if former.get(key) != content.get(key):
                raise ConfigError(f"{folder}: the sweep there was started with another {key}; give it another --output")
        return
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml12.write(content), encoding="utf-8")


def kept(folder: Path) -> Sweep:
    """The sweep that a folder belongs to.

    Raises:
        ConfigError: If it belongs to none.
    """
    if not (folder / SWEEP_FILE).is_file():
        raise ConfigError(f"{folder}: holds no sweep (no {SWEEP_FILE}); expected the folder of a sweep, as runs/NAME")
    return load(folder / SWEEP_FILE)


def final_value(run: Path, metric: str) -> float | None:
    """The value that a finished run gives a metric: that of its summary, or else the last that it logged."""
    summary = run / SUMMARY_FILE
    if summary.is_file():
        value = json.loads(summary.read_text(encoding="utf-8")).get(metric)
        if value is not None:
            return float(value)
    logged = history(run, metric)
    return logged[-1].value if logged else None
