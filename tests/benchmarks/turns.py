"""Timing in turns: what else the machine does then disturbs all contestants alike."""

from __future__ import annotations

import time
from collections.abc import Callable


def least(works: dict[str, Callable[[], object]], rounds: int = 40) -> dict[str, float]:
    """The shortest time on the processor of each [s], of many rounds in which all take turns."""
    times = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            began = time.process_time()
            work()
            times[name] = min(times[name], time.process_time() - began)
    return times
