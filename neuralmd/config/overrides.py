"""Settings from the command line, `a.b=value`, in place of the file's."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Sequence

from neuralmd.config import yaml12
from neuralmd.config.schema import wants_text
from neuralmd.errors import ConfigError


def apply(settings: dict, text: str) -> str:
    """Put `a.b=value` into the settings and return its path.

    Raises:
        ConfigError: If it has another form, or its path leads through something that is no block.
    """
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"the command line: expected KEY=VALUE, as in data.stride=10, but '{text}' came")
    block: dict | list = settings
    for depth, key in enumerate(keys[:-1]):
        inner = _enter(block, key, keys[:depth])
        if inner is None:
            inner = {}
            _set(block, key, inner, keys[:depth])
        if not isinstance(inner, dict | list):
            raise ConfigError(f"the command line: {path}: {'.'.join(keys[: depth + 1])} is {inner!r}, not a block")
        block = inner
    _set(block, keys[-1], _value(value, keys), keys[:-1])
    return ".".join(keys)


def _enter(block: dict | list, key: str, above: Sequence[str]) -> object:
    if isinstance(block, list):
        return block[_index(block, key, above)]
    _refuse_index(key, above)
    return block.get(key)


def _set(block: dict | list, key: str, value: object, above: Sequence[str]) -> None:
    if isinstance(block, list):
        block[_index(block, key, above)] = value
    else:
        _refuse_index(key, above)
        block[key] = value


def _index(entries: list, key: str, above: Sequence[str]) -> int:
    if not (key.isascii() and key.isdigit() and int(key) < len(entries)):
        raise ConfigError(
            f"the command line: {'.'.join(above)} has {len(entries)} entries, 0..{len(entries) - 1}, but not '{key}'"
        )
    return int(key)


def _refuse_index(key: str, above: Sequence[str]) -> None:
    if key.isdigit():
        name = ".".join(above)
        raise ConfigError(f"the command line: {name} is no list in the file: give the whole list, as {name}=[...]")


def _value(text: str, keys: Sequence[str]) -> object:
    """What a text on the command line stands for: a Python literal (as wandb's agent writes them), or YAML."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own on odd literals
            value = ast.literal_eval(text.strip())
        json.dumps(value)  # refuses what YAML does not have: sets, bytes, complex numbers
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        try:
            value = yaml12.parse(text)
        except ConfigError as error:
            raise ConfigError(f"the command line: {'.'.join(keys)}: {error}") from None
    return text if isinstance(value, int | float) and wants_text(keys) else value
