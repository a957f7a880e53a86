"""What a training has logged, read back from its metrics.jsonl."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from neuralmd.training.tracking import METRICS_FILE


@dataclass(frozen=True)
class Logged:
    """A metric at one moment of a training.

    Attributes:
        step: Steps of the optimizer so far.
        minutes: Time so far, by the clock of the budget; not a number where none was logged.
        value: The metric.
    """

    step: int
    minutes: float
    value: float


def lines(run: Path) -> list[dict[str, float]]:
    """All that a run logged; without the broken last line of one that was killed."""
    path = run / METRICS_FILE
    if not path.is_file():
        return []
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def history(run: Path, metric: str) -> list[Logged]:
    """A metric as a run logged it."""
    return [
        Logged(int(line["step"]), float(line.get("train/minutes", math.nan)), float(line[metric]))
        for line in lines(run)
        if line.get(metric) is not None
    ]
