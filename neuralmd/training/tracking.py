"""`Tracker`: the metrics of a run, always in its own metrics.jsonl, and in wandb where it is wanted."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from neuralmd.training.wandb_run import WandbRun, WandbSettings

METRICS_FILE = "metrics.jsonl"
"""One JSON object a line: `step` and the metrics logged at it."""

SUMMARY_FILE = "summary.json"
"""The numbers that sum the run up."""


Observe = Callable[[int, Mapping[str, float]], None]
"""Takes the step and the metrics of a line that was logged."""


class Stop(Exception):  # noqa: N818 - no error: what was wanted is known
    """Raised by an observer that wants no more of a run: training ends at once, as a stop and not as a failure."""


class Tracker:
    """Takes the metrics of a run down while it trains.

    The lines are there as soon as `log` returns, so that a kill loses none but the last. The summary is there from the
    end of the run on, and not while one is going on that had ended before.

    Args:
        folder: The run's folder.
        config: Every setting of the experiment by its dotted path.
        wandb: Where in wandb the run belongs.
        resume_step: The step from which a run goes on, whose later lines are dropped; none for a new run.
        observe: Called after each line that is logged; it may raise `Stop`.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, str | int | float | bool | None],
        wandb: WandbSettings,
        *,
        resume_step: int | None = None,
        observe: Observe | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._summary = folder / SUMMARY_FILE
        self._summary.unlink(missing_ok=True)
        self._observe = observe
        metrics = folder / METRICS_FILE
        _replace(metrics, "" if resume_step is None else _lines_up_to(resume_step, metrics))
        self._wandb = WandbRun(folder, wandb, config, resume=resume_step is not None)
        self._file = metrics.open("a", encoding="utf-8")

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Take metrics of one step down; a value that is not finite becomes null in the file."""
        line = {"step": step} | {name: _json_number(value) for name, value in metrics.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self._wandb.log({name: float(value) for name, value in metrics.items()}, step)
        if self._observe is not None:
            self._observe(step, metrics)

    def summarise(self, summary: Mapping[str, float]) -> None:
        """Write the numbers that sum the run up."""
        numbers = {name: _json_number(value) for name, value in summary.items()}
        _replace(self._summary, json.dumps(numbers, indent=2) + "\n")
        self._wandb.summarise(numbers)

    def keep_model(self, file: Path, name: str) -> None:
        """Send a model file to wandb as an artifact."""
        self._wandb.keep(file, name)

    def finish(self, *, exit_code: int = 0) -> None:
        """Close the file and the wandb run; beyond the first time, nothing happens."""
        self._file.close()
        self._wandb.finish(exit_code)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(exit_code=0 if kind is None or issubclass(kind, Stop) else 1)


def _replace(path: Path, text: str) -> None:
    """Put a text in the place of a file in one go: a kill leaves the old file or the new one."""
    draft = path.with_name(f".{path.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _json_number(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _lines_up_to(step: int, metrics: Path) -> str:
    """The whole lines of the file whose step is not beyond the given one."""
    if not metrics.exists():
        return ""
    lines = metrics.read_text(encoding="utf-8", errors="replace").splitlines()
    return "".join(f"{line}\n" for line in lines if _step(line) <= step)


def _step(line: str) -> float:
    """The step of a line; infinity for a line that a kill has torn."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
