"""How far a training is, from its steps and its minutes, and what follows: the stage and its learning rate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neuralmd.training.objectives import Objective


@dataclass(frozen=True)
class Budget:
    """When a training ends: at the first of two limits, either of which may be none.

    Attributes:
        max_steps: Number of optimizer steps.
        max_minutes: Time by the clock, validation included [min].
        clock: Tells the time, in seconds from any origin.
        reserved: Part of the minutes that is left for what comes after the last step.
    """

    max_steps: int | None
    max_minutes: float | None
    clock: Callable[[], float] = time.monotonic
    reserved: float = 0.0

    def progress(self, step: int, seconds: float) -> float:
        """How much is used up: 0 at the start, 1 or more at the end."""
        by_steps = 0.0 if self.max_steps is None else step / self.max_steps
        by_time = 0.0 if self.max_minutes is None else seconds / (60.0 * self.max_minutes * (1.0 - self.reserved))
        return max(by_steps, by_time)


@dataclass(frozen=True, eq=False)
class Stage:
    """A stretch of a training with one objective and one cycle of the learning rate.

    Attributes:
        objective: What is minimised.
        share: Part of the budget.
        learning_rate: The highest of the cycle.
        warmup: Part of the stage in which the learning rate rises.
    """

    objective: Objective[Any]
    share: float
    learning_rate: float
    warmup: float

    def rate(self, progress: float) -> float:
        """The learning rate when `progress` in [0, 1] of the stage is done.

        lr(p) = lr_max p / w for p < w, and lr_max (1 + cos(pi (p - w) / (1 - w))) / 2 after that
        """
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        falling = min((progress - self.warmup) / (1.0 - self.warmup), 1.0)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * falling))


def locate(stages: tuple[Stage, ...], progress: float) -> tuple[int, float]:
    """Index of the stage in which a training is, and how much of that stage is done."""
    begin = 0.0
    for index, stage in enumerate(stages):
        end = begin + stage.share
        if progress < end or index == len(stages) - 1:
            return index, min((progress - begin) / stage.share, 1.0)
        begin = end
    raise ValueError("a training needs at least one stage")
