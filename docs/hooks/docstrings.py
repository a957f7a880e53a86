"""Makes the formulas of docstrings readable on the web: set apart from the text, and with true angle brackets."""

from __future__ import annotations

import re

import griffe

_BRACKETS = re.compile(r"<([\w' ]+), ([\w' ]+)>")
_FORMULA = re.compile(r"^[^.:`*]{1,40} = |^[^.:`*]{1,40} -> ")


class Formulas(griffe.Extension):
    """A paragraph of a docstring that is nothing but formulas becomes a block of its own."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Rewrite the docstring of an object that griffe has read."""
        if obj.docstring is not None:
            text = _BRACKETS.sub(r"⟨\1, \2⟩", obj.docstring.value)
            obj.docstring.value = "\n\n".join(_set_apart(part) for part in text.split("\n\n"))


def _set_apart(paragraph: str) -> str:
    lines = paragraph.splitlines()
    indented = any(line.startswith(" ") for line in lines)
    if indented or not lines or not _FORMULA.match(lines[0]) or paragraph.rstrip().endswith("."):
        return paragraph
    return "\n".join(["```text", *lines, "```"])
