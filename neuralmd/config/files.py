"""Experiments from YAML files, and back into YAML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from neuralmd.config import yaml12
from neuralmd.config.experiment import Experiment
from neuralmd.config.messages import explain
from neuralmd.config.overrides import apply
from neuralmd.errors import ConfigError

Scalar = str | int | float | bool | None
"""A setting that holds no others."""


def load(path: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment in a YAML file, with settings from the command line in place of the file's.

    Args:
        path: YAML file.
        overrides: Texts `a.b=value`, in order; a whole number is an index into a list, as in
            `training.stages.0.batch_size=8`. A value is a Python literal or YAML; a block replaces the whole block.

    Raises:
        ConfigError: If the file cannot be read or a setting is not valid; says which, and what was expected.
    """
    file = Path(path)
    return parse(_read(file), file, overrides)


def parse(text: str, path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment in a YAML text; `path` is where it came from, for messages. The rest is as in `load`."""
    settings = _parse(text, path)
    given = [apply(settings, text) for text in overrides]
    try:
        return Experiment.model_validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        place, sentence = explain(error)
        from_line = any(f"{place}.".startswith(f"{one}.") for one in given)
        where = "the command line" if from_line else str(path)
        raise ConfigError(": ".join(part for part in (where, place, sentence) if part)) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: expected plain values, lists and blocks, but {error}") from None


def dump(experiment: Experiment) -> str:
    """The experiment as YAML with every setting in it; `load` gives an equal one back."""
    return str(experiment)


def flatten(experiment: Experiment) -> dict[str, Scalar]:
    """Every setting by its dotted path, as a sweep or a tracker names it."""
    flat: dict[str, Scalar] = {}
    _collect(experiment.model_dump(mode="json"), "", flat)
    return flat


def _collect(value: object, path: str, flat: dict[str, Scalar]) -> None:
    entries = value.items() if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else None
    if not entries:
        flat[path] = value if isinstance(value, Scalar) else str(value)
        return
    for key, inner in entries:
        _collect(inner, f"{path}.{key}" if path else str(key), flat)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such config file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected a YAML file in UTF-8, but it is not text") from None
    except OSError as error:
        raise ConfigError(f"{path}: the config file cannot be read: {error.strerror}") from None


def _parse(text: str, path: Path) -> dict:
    try:
        settings = yaml12.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(settings, dict):
        came = "it is empty" if settings is None else "it holds something else"
        raise ConfigError(f"{path}: expected blocks of keys such as run, data and training, but {came}")
    return settings
