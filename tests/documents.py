"""What README and the pages of docs tell a reader to type: their code blocks, and the commands within their text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"(?<!`)`((?:neuralmd|make) [^`]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: What it is written in.
        text: What it says.
        line: Where it begins in its page.
        reason: Why it cannot be run here; none if it can.
    """

    language: str
    text: str
    line: int
    reason: str | None

    @property
    def commands(self) -> list[str]:
        """The lines of a block of commands, without comments and continuations."""
        lines = [line.strip() for line in self.text.replace("\\\n", " ").splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


def pages(repository: Path) -> list[Path]:
    """README and all pages of docs."""
    return [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], found["text"], text.count("\n", 0, found.start("text")), found["reason"])
        for found in _FENCE.finditer(text)
    ]


def inline_commands(page: Path) -> list[str]:
    """The commands within the text of a page, each on one line."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(found.split()) for found in _INLINE.findall(text)]
