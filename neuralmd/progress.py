"""A progress bar with the time that remains, in a terminal or a notebook; silent where nobody watches."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_REFRESH = 0.25
"""Seconds between two looks at a bar in a notebook."""

_WIDTH = 100
"""Letters of a bar in a notebook."""

Advance = Callable[[int], None]
"""Takes how much is done so far."""


NewTask = Callable[[str, int], Advance]
"""Takes what is being done and how much there is to do, and shows a bar for it."""


@contextmanager
def progress(title: str, total: int, *, unit: str = "steps") -> Iterator[Advance]:
    """Show how far a task is, while the context lasts: on stderr if it is a terminal, or below a notebook's cell.

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
        cell = _Cell(bars) if console.is_jupyter else None

        def new_task(title: str, total: int) -> Advance:
            task = bars.add_task(title, total=total)

            def advance(done: int) -> None:
                bars.update(task, completed=done)
                if cell is not None:
                    cell.show()

            return advance

        try:
            yield new_task
        finally:
            if cell is not None:
                cell.clear()


class _Cell:
    """Bars as text below a notebook's cell, a few times a second while they last; rich itself would need ipywidgets."""

    def __init__(self, bars: Progress) -> None:
        from IPython.display import DisplayHandle

        self._bars, self._handle = bars, DisplayHandle()
        self._due, self._begun = time.monotonic() + _REFRESH, False

    def show(self) -> None:
        """Draw the bars, unless they were drawn just now."""
        from rich.console import Console

        if time.monotonic() < self._due:
            return
        paper = io.StringIO()
        Console(file=paper, width=_WIDTH, force_jupyter=False, color_system=None).print(self._bars.get_renderable())
        self._say(paper.getvalue().rstrip())
        self._due = time.monotonic() + _REFRESH

    def clear(self) -> None:
        """Leave nothing behind."""
        if self._begun:
            self._say("")

    def _say(self, text: str) -> None:
        put = self._handle.update if self._begun else self._handle.display
        put({"text/plain": text}, raw=True)
        self._begun = True
