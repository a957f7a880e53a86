"""Writes the reference pages when the site is built: settings from the schema, commands from the command line."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.models import ArgumentInfo, ParameterInfo

from neuralmd.cli.application import app
from neuralmd.config import Experiment

_SETTINGS = "<!-- settings: written from the schema when the site is built -->"
_COMMANDS = "<!-- commands: written from the command line when the site is built -->"
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", type(None): "null"}
_TAKEN = {int: "NUMBER", float: "NUMBER", Path: "PATH"}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the reference in the place of its mark; mkdocs calls it for every page."""
    if _SETTINGS in markdown:
        markdown = markdown.replace(_SETTINGS, "\n".join(settings()))
    if _COMMANDS in markdown:
        markdown = markdown.replace(_COMMANDS, "\n".join(commands()))
    return markdown


def settings() -> Iterator[str]:
    """A section for every block of an experiment, from the top down, each block once."""
    waiting: list[tuple[str, type[BaseModel]]] = [("", Experiment)]
    seen: set[type[BaseModel]] = set()
    while waiting:
        path, block = waiting.pop(0)
        if block in seen:
            continue
        seen.add(block)
        kind = block.model_fields.get("kind")
        title = (f"`{path}`" if path else "The file") + (f" with `kind: {kind.default}`" if kind else "")
        yield f"\n## {title} {{ #{_anchor(block)} }}\n"
        yield f"{(block.__doc__ or '').strip()}\n"
        fields = {name: field for name, field in block.model_fields.items() if name != "kind"}
        if not fields:
            yield "No settings of its own.\n"
            continue
        yield "| key | value | default | meaning |\n|---|---|---|---|"
        for name, field in fields.items():
            yield f"| `{name}` | {_value(field)} | {_default(field)} | {_line(field.description)} |"
            waiting += [(f"{path}.{name}".lstrip("."), inner) for inner in blocks(field.annotation)]


def blocks(annotation: object) -> list[type[BaseModel]]:
    """All blocks that an annotation names, in its order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [block for argument in get_args(annotation) for block in blocks(argument)]


def commands() -> Iterator[str]:
    """A section for every command, with its arguments and options."""
    yield from _commands_of(app, "neuralmd")


def _commands_of(group: typer.Typer, words: str) -> Iterator[str]:
    for command in group.registered_commands:
        function = command.callback
        if function is None:
            continue
        name = command.name or function.__name__.replace("_", "-")
        yield f"\n## `{words} {name}`\n\n{inspect.getdoc(function)}\n"
        yield "| | default | meaning |\n|---|---|---|"
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            hint = hints[parameter.name]
            told = next((each for each in getattr(hint, "__metadata__", ()) if isinstance(each, ParameterInfo)), None)
            if told is not None:
                yield f"| {_usage(parameter.name, hint, told)} | {_preset(parameter)} | {_line(told.help)} |"
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from _commands_of(inner.typer_instance, f"{words} {inner.name or inner.typer_instance.info.name}")


def _usage(name: str, hint: Any, told: ParameterInfo) -> str:
    if isinstance(told, ArgumentInfo):
        return f"`{_line(told.metavar or name.upper())}`"
    declared = (told.param_decls or (f"--{name.replace('_', '-')}",))[0]
    kinds = [kind for kind in (get_args(hint.__origin__) or (hint.__origin__,)) if kind is not type(None)]
    if kinds == [bool]:
        return f"`{declared}`"
    taken = "\\|".join(_taken(kind) for kind in kinds)
    return f"`{declared} {taken}`"


def _taken(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "\\|".join(kind)
    return _TAKEN.get(kind, "TEXT")


def _preset(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "**required**"
    return "" if parameter.default is None or parameter.default is False else f"`{parameter.default}`"


def _value(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {limit}"
        for each in field.metadata
        for key, sign in _BOUNDS.items()
        if (limit := getattr(each, key, None)) is not None
    ]
    return " ".join([_kind(field.annotation), *bounds])


def _kind(annotation: object) -> str:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = annotation.model_fields.get("kind")
        return f"[{f'kind: {kind.default}' if kind else 'a block'}](#{_anchor(annotation)})"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        origin, arguments = Literal, tuple(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return " \\| ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " \\| ".join(_kind(argument) for argument in arguments)
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    return _PLAIN[annotation]  # type: ignore[index]


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "**required**"
    if isinstance(value, BaseModel):
        kind = getattr(value, "kind", None)
        return f"`kind: {kind}`" if kind else "its own defaults"
    if isinstance(value, tuple):
        return ", ".join(f"`kind: {each.kind}`" for each in value) or "empty"
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


def _anchor(block: type[BaseModel]) -> str:
    return block.__name__.lower()


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
