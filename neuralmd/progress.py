"""A progress bar with the time that remains; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Takes how much is done so far."""


NewTask = Callable[[str, int], Advance]
"""Takes what is being done and how much there is to do, and shows a bar for it."""


@contextmanager
def progress(title: str, total: int, *, unit: str = "steps") -> Iterator[Advance]:
    """Show how far a task is, on stderr, while the context lasts; nothing if stderr is no terminal.

    Args:
        title: What is being done.
        total: How much there is to do.
        unit: What is counted.

    Yields:
        A function that takes how much is done so far, not how much was added.
    """
    with tasks(unit=unit) as new_task:
        yield new_task(title, total)


@contextmanager
def tasks(*, unit: str = "steps") -> Iterator[NewTask]:
    """Show several tasks, one below the other, as `progress` shows one.

    Args:
        unit: What is counted.

    Yields:
        A function that begins a task.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def new_task(title: str, total: int) -> Advance:
            task = bars.add_task(title, total=total)
            return lambda done: bars.update(task, completed=done)

        yield new_task
