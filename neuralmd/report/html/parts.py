"""The parts of a page: numbers that sum up, the table of errors, and facts. All texts are plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A number that sums up.

    Attributes:
        what: What it is.
        value: The number with its unit.
        remark: What to compare it with.
    """

    what: str
    value: str
    remark: str


@dataclass(frozen=True)
class Row:
    """A method in the table of errors.

    Attributes:
        label: Its name.
        knows: What it looks at.
        cells: Its numbers.
        emphasised: Whether it is what the report is about.
    """

    label: str
    knows: str
    cells: Sequence[str]
    emphasised: bool


@dataclass(frozen=True)
class Errors:
    """The table of errors on hidden frames.

    Attributes:
        text: What was compared.
        header: The columns, the method's first.
        rows: The methods.
        caption: What the numbers are.
    """

    text: str
    header: Sequence[str]
    rows: Sequence[Row]
    caption: str


@dataclass(frozen=True)
class Fact:
    """Something that was done, or done with."""

    name: str
    value: str
