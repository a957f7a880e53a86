"""`TextTable`: a table of texts, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.table import Table


_NAME: Final = 24
"""Letters of the row's name that stay in one line."""


@dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Attributes:
        title: What stands above it.
        header: The columns; the first one names the row.
        rows: One text for each column.
        caption: What stands below it; none for nothing.
        wide: Columns that may be broken into lines where a terminal is narrow, besides the first.
        emphasised: Rows that are set off, by index.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str | None = None
    wide: frozenset[str] = frozenset()
    emphasised: frozenset[int] = frozenset()

    def rich(self) -> Table:
        """The table for a terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        caption = None if self.caption is None else Text(self.caption)
        table = Table(title=Text(self.title), caption=caption, box=box.SIMPLE_HEAD)
        longest = max((len(row[0]) for row in self.rows), default=0)
        table.add_column(Text(self.header[0]), overflow="fold", min_width=min(_NAME, longest))
        for column in self.header[1:]:
            table.add_column(Text(column), justify="right", no_wrap=column not in self.wide)
        for index, row in enumerate(self.rows):
            # As Text, because rich would take brackets in a name for its own marks.
            table.add_row(*map(Text, row), style="bold" if index in self.emphasised else None)
        return table

    def markdown(self) -> str:
        """The table in Markdown, under a heading of the third level."""
        lines = [f"### {self.title}", "", _line(self.header), "|---" + "|---:" * (len(self.header) - 1) + "|"]
        for index, row in enumerate(self.rows):
            cells = [cell.replace("|", "\\|") for cell in row]
            lines.append(
                _line([f"**{cell}**" if cell else "" for cell in cells] if index in self.emphasised else cells)
            )
        if self.caption is not None:
            lines += ["", self.caption]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
