"""Questions about the schema of an experiment: the keys of a block, the meaning of a path, likenesses."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel

from neuralmd.config.experiment import Experiment

Location = Sequence[str | int]
"""Keys and list indices from the top of an experiment down."""

Blocks = frozenset[type[BaseModel]]
"""The classes that a block may have: several where its `kind` decides."""

_TOP: Blocks = frozenset({Experiment})


@dataclass(frozen=True)
class Place:
    """Where a location leads in the schema.

    Attributes:
        path: Keys and indices as a user writes them, with dots between.
        around: The blocks that the last key is, or should be, a key of.
        within: The blocks that its value may be; none if it is no block.
    """

    path: str
    around: Blocks
    within: Blocks

    @property
    def kinds(self) -> list[str]:
        """The kinds that its value may have."""
        return _kinds(self.within)

    @property
    def kinds_around(self) -> list[str]:
        """The kinds of the block around it."""
        return _kinds(self.around)

    @property
    def siblings(self) -> list[str]:
        """The keys that the last key could be."""
        return sorted({name for block in self.around for name in block.model_fields})


def find(location: Location, *, unknown: bool = False) -> Place:
    """The place of a location in one of pydantic's errors, which puts a block's kind between its keys.

    Args:
        location: As in the error.
        unknown: Whether the last part is a key that the schema does not have.
    """
    path: list[str] = []
    around, within = _TOP, _TOP
    for index, part in enumerate(location):
        wrong = unknown and index == len(location) - 1
        chosen = _of_kind(within, part)
        if chosen and not wrong and not _has(within, part):
            within = chosen
            continue
        around = within
        within = _below(within, part)
        path.append(str(part))
    return Place(".".join(path), around, within)


def wants_text(location: Location) -> bool:
    """Whether the setting at the location is a text, so that 2024 given for it is meant as one."""
    name = location[-1]
    annotations = [block.model_fields[name].annotation for block in find(location).around if name in block.model_fields]
    return bool(annotations) and all({str, Path} & {kind, *get_args(kind)} for kind in annotations)


def resembling(key: str, place: Place) -> str | None:
    """The key that an unknown one at the place is most like: beside it, or else anywhere in the experiment."""
    near = difflib.get_close_matches(key, place.siblings, n=1)
    if near or place.kinds_around:
        return near[0] if near else None
    paths = {path.rpartition(".")[2]: path for path in _paths(Experiment)}
    near = difflib.get_close_matches(key, paths, n=1, cutoff=0.8)
    return paths[near[0]] if near else None


def _paths(block: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in block.model_fields.items():
        yield prefix + name
        index = "0." if get_origin(field.annotation) is tuple else ""
        for inner in sorted(_blocks(field.annotation), key=lambda one: one.__name__):
            yield from _paths(inner, f"{prefix}{name}.{index}")


def _has(blocks: Blocks, part: str | int) -> bool:
    return any(part in block.model_fields for block in blocks)


def _kinds(blocks: Blocks) -> list[str]:
    return sorted(block.model_fields["kind"].default for block in blocks if "kind" in block.model_fields)


def _of_kind(blocks: Blocks, kind: str | int) -> Blocks:
    return frozenset(
        block for block in blocks if "kind" in block.model_fields and block.model_fields["kind"].default == kind
    )


def _below(blocks: Blocks, part: str | int) -> Blocks:
    """The blocks under a key of the given ones. A list's entries are the blocks of the list itself."""
    if isinstance(part, int) or part.isdigit():
        return blocks
    fields = [block.model_fields[part] for block in blocks if part in block.model_fields]
    return frozenset(inner for field in fields for inner in _blocks(field.annotation))


def _blocks(annotation: object) -> Blocks:
    """All blocks that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return frozenset({annotation})
    return frozenset(block for argument in get_args(annotation) for block in _blocks(argument))
