"""`Plan`: what the workers of a sweep have in common, and how a worker is told."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from neuralmd.sweeps.queue import Queue
from neuralmd.sweeps.space import Sweep
from neuralmd.sweeps.study import open_study


@dataclass(frozen=True)
class Plan:
    """What the workers of a sweep have in common; plain values, so that a new process can be told.

    Attributes:
        folder: Where the sweep and its runs are.
        storage: The study's database, as SQLAlchemy names it.
        places: Number of trials.
        workers: Processes on this machine.
        heartbeat: Seconds between a worker's signs of life.
        until: When no new trial begins any more, in seconds since 1970; none for never.
    """

    folder: str
    storage: str
    places: int
    workers: int
    heartbeat: int
    until: float | None = None

    @property
    def root(self) -> Path:
        """The folder."""
        return Path(self.folder)

    def queue(self, sweep: Sweep) -> Queue:
        """The trials.

        Raises:
            ConfigError: If the database cannot be opened.
        """
        (self.root / "locks").mkdir(exist_ok=True)
        lock = self.root / "locks" / "queue" if self.storage.startswith("sqlite") else None
        return Queue(sweep, *open_study(sweep, self.storage, self.heartbeat, lock), lock)

    def lock_of(self, place: int) -> Path:
        """The file that a worker locks while it has a trial."""
        return self.root / "locks" / f"{place:03d}"

    def command(self) -> tuple[list[str], str]:
        """How a worker is started, and the line that it reads."""
        return [sys.executable, "-m", "neuralmd.sweeps.worker"], json.dumps(asdict(self)) + "\n"

    @classmethod
    def told(cls, line: str) -> Plan:
        """The plan in a line."""
        return cls(**json.loads(line))


def trial_name(sweep: Sweep, place: int) -> str:
    """The name of a trial's run."""
    return f"{sweep.name}-trial-{place:03d}"
