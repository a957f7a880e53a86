"""`Sweep`: a wandb sweep file, read and checked as a file; `neuralmd.sweeps.legality` checks it against the schema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from neuralmd.config import yaml12
from neuralmd.errors import ConfigError
from neuralmd.sweeps.distributions import Constant, Distribution, is_number
from neuralmd.sweeps.parameters import overlapping, parse

Method = Literal["grid", "random", "bayes"]
"""How values are drawn."""

Goal = Literal["minimize", "maximize"]
"""Which way is better."""

METRICS = ("validation/best_mae_A", "validation/mae_A", "validation/rmse_A", "train/loss")
"""What a run logs again and again, so that a sweep can minimise it and a pruner can watch it."""

ARGUMENTS = "${args_no_hyphens}"
"""Where an agent of wandb puts the drawn settings, as KEY=VALUE, into the command."""

_KEYS = (
    "program",
    "command",
    "name",
    "description",
    "project",
    "entity",
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "run_cap",
)
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,80}$")
_PARAMETER = re.compile(r"^[A-Za-z_][A-Za-z0-9_.-]*$")


@dataclass(frozen=True)
class Metric:
    """What a sweep looks for.

    Attributes:
        name: The logged metric.
        goal: Which way is better.
        target: The value that ends the sweep; none for no such.
    """

    name: str
    goal: Goal = "minimize"
    target: float | None = None


@dataclass(frozen=True)
class Halving:
    """Early termination, wandb's hyperband: at rung r_k, only the best 1 / eta of all trials that came so far go on.

    r_k = first eta^k, in validations

    Attributes:
        first: The first rung.
        eta: From one rung to the next.
    """

    first: int
    eta: int


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep file says.

    Attributes:
        path: The file.
        content: All that is in it, as wandb's server takes it.
        name: What runs and folders are called after.
        method: How values are drawn.
        metric: What is looked for.
        parameters: What each setting is drawn from, in the order of the file.
        words: CONFIG and settings that the command holds beside the drawn ones.
        early_terminate: When a trial is stopped before its end; none for never.
        run_cap: The most trials; none for no limit.
    """

    path: Path
    content: Mapping[str, object]
    name: str
    method: Method
    metric: Metric
    parameters: Mapping[str, Distribution]
    words: tuple[str, ...]
    early_terminate: Halving | None
    run_cap: int | None

    @property
    def varied(self) -> list[str]:
        """The keys that are not constant."""
        return [key for key, one in self.parameters.items() if not isinstance(one, Constant)]


def load(path: Path) -> Sweep:
    """The sweep in a file.

    Raises:
        ConfigError: If it is no sweep file; one sentence, with the file and the key.
    """
    try:
        content = yaml12.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such sweep file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the sweep file cannot be read: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        return _sweep(path, _block(content, "the file"))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _sweep(path: Path, content: dict[str, object]) -> Sweep:
    _known(content, _KEYS, "")
    method = _one_of(content.get("method"), get_args(Method), "method")
    name = str(content.get("name", path.stem))
    if not _NAME.match(name):
        raise ConfigError(f"name: expected a plain name (letters, digits and _ . + -), but '{name}' came")
    parameters = _parameters(content.get("parameters"), method)
    cap = content.get("run_cap")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise ConfigError(f"run_cap: expected a whole number of at least 1, but '{cap}' came")
    halving = content.get("early_terminate")
    return Sweep(
        path=path,
        content=content,
        name=name,
        method=method,
        metric=_metric(content.get("metric")),
        parameters=parameters,
        words=_words(content.get("command")),
        early_terminate=None if halving is None else _halving(_block(halving, "early_terminate")),
        run_cap=cap,
    )


def _metric(block: object) -> Metric:
    known = ", ".join(METRICS)
    if block is None:
        raise ConfigError(f"metric: expected {{name: NAME, goal: minimize}}, but there is none; runs log {known}")
    given = _block(block, "metric")
    _known(given, ("name", "goal", "target"), "metric.")
    if given.get("name") not in METRICS:
        raise ConfigError(f"metric.name: no run logs '{given.get('name')}'; runs log {known}")
    goal = _one_of(given.get("goal", "minimize"), get_args(Goal), "metric.goal")
    target = given.get("target")
    if target is not None and not is_number(target):
        raise ConfigError(f"metric.target: expected a number, but '{target}' came")
    return Metric(str(given["name"]), goal, target)


def _parameters(block: object, method: Method) -> dict[str, Distribution]:
    given = _block(block, "parameters")
    if not given:
        raise ConfigError("parameters: expected at least one")
    found: dict[str, Distribution] = {}
    for key, one in given.items():
        if not _PARAMETER.match(key):
            raise ConfigError(f"parameters: '{key}' is no dotted path of letters, digits and _ . -")
        try:
            found[key] = parse(one)
        except ConfigError as error:
            raise ConfigError(f"parameters: {key}: {error}") from None
        if method == "grid" and found[key].values() is None:
            raise ConfigError(f"parameters: {key}: a grid needs values; list them, or take method random or bayes")
    if pair := overlapping(list(found)):
        raise ConfigError(f"parameters: {pair[0]} replaces the whole block that {pair[1]} is in; leave one of them out")
    return found


def _words(command: object) -> tuple[str, ...]:
    """The words after `train` in the command, but for the drawn settings."""
    if command is None:
        return ()
    words = command if isinstance(command, list) else []
    texts = [str(word) for word in words]
    if "train" not in texts or ARGUMENTS not in texts[texts.index("train") :]:
        raise ConfigError(f'command: expected [neuralmd, train, CONFIG, "{ARGUMENTS}"], since train takes KEY=VALUE')
    after = [text for text in texts[texts.index("train") + 1 :] if text != ARGUMENTS]
    if strange := [text for text in after if text.startswith(("-", "${"))]:
        raise ConfigError(f"command: '{strange[0]}' is not taken after train; expected CONFIG and KEY=VALUE")
    return tuple(after)


def _halving(block: dict[str, object]) -> Halving:
    """Both of wandb's ways to say it: from the first rung up, or `s` rungs down from the last iteration."""
    _known(block, ("type", "min_iter", "max_iter", "s", "eta", "strict"), "early_terminate.")
    _one_of(block.get("type"), ("hyperband",), "early_terminate.type")
    eta = _whole(block, "eta", 2) if "eta" in block else 3
    if "min_iter" in block:
        return Halving(_whole(block, "min_iter", 1), eta)
    if "max_iter" not in block or "s" not in block:
        raise ConfigError("early_terminate: expected min_iter, or max_iter and s")
    return Halving(max(_whole(block, "max_iter", 1) // eta ** _whole(block, "s", 1), 1), eta)


def _whole(block: Mapping[str, object], key: str, least: int) -> int:
    value = block[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"early_terminate.{key}: expected a whole number of at least {least}, but '{value}' came")
    return value


def _block(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: expected a block of keys, but {'there is none' if value is None else value!r}")
    return {str(key): inner for key, inner in value.items()}


def _known(block: Mapping[str, object], keys: tuple[str, ...], prefix: str) -> None:
    for key in block:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(keys)}"
            raise ConfigError(f"{prefix}{key}: unknown key; {hint}")


def _one_of(value: object, options: tuple[Any, ...], name: str) -> Any:
    if value not in options:
        raise ConfigError(f"{name}: expected one of {', '.join(options)}, but '{value}' came")
    return value
