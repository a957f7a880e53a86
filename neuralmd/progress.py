"""A progress bar with the time that remains; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Takes how much is done so far."""


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
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)

        def advance(done: int) -> None:
            bar.update(task, completed=done)

        yield advance
