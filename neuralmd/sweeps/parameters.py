"""The parameters of a sweep file, each a block, as distributions."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

from neuralmd.errors import ConfigError
from neuralmd.sweeps.distributions import Beta, Choice, Constant, Distribution, Normal, Range, Scale, is_number

_PROBABILITY_TOLERANCE = 1e-6
_RANGE = {"min", "max"}
_KEYS = {
    "constant": {"value"},
    "categorical": {"values", "probabilities"},
    "categorical_w_probabilities": {"values", "probabilities"},
    "int_uniform": _RANGE,
    "uniform": _RANGE,
    "q_uniform": _RANGE | {"q"},
    "log_uniform": _RANGE,
    "log_uniform_values": _RANGE,
    "q_log_uniform": _RANGE | {"q"},
    "q_log_uniform_values": _RANGE | {"q"},
    "inv_log_uniform": _RANGE,
    "inv_log_uniform_values": _RANGE,
    "normal": {"mu", "sigma"},
    "log_normal": {"mu", "sigma"},
    "q_normal": {"mu", "sigma", "q"},
    "q_log_normal": {"mu", "sigma", "q"},
    "beta": {"a", "b"},
    "q_beta": {"a", "b", "q"},
}
"""wandb's distributions and the keys that each takes beside `distribution`."""


def parse(block: object) -> Distribution:
    """The distribution that a parameter's block describes, by wandb's rules.

    Args:
        block: What stands under the parameter's name: `value`, `values`, `min` and `max`, `distribution`.

    Raises:
        ConfigError: If it is none; says what was expected.
    """
    if not isinstance(block, dict):
        raise ConfigError("expected a block, as {value: 1}, {values: [1, 2]} or {min: 0.1, max: 1.0}")
    if "parameters" in block:
        raise ConfigError("a nested block of parameters is not taken; write each as one flat key, as model.width")
    kind = block["distribution"] if "distribution" in block else _implied(block)
    if kind not in _KEYS:
        near = difflib.get_close_matches(str(kind), _KEYS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(_KEYS))}"
        raise ConfigError(f"unknown distribution '{kind}'; {hint}")
    if unknown := sorted(set(block) - _KEYS[kind] - {"distribution"}):
        raise ConfigError(f"unknown key '{unknown[0]}'; {kind} takes {', '.join(sorted(_KEYS[kind]))}")
    return _build(kind, block)


def _implied(block: Mapping[str, object]) -> str:
    """What wandb takes where no distribution is named."""
    if "value" in block:
        return "constant"
    if "values" in block:
        return "categorical"
    if set(block) >= _RANGE:
        whole = all(isinstance(block[key], int) and not isinstance(block[key], bool) for key in _RANGE)
        return "int_uniform" if whole else "uniform"
    raise ConfigError("expected value, values, min and max, or a distribution with its keys")


def _build(kind: str, block: Mapping[str, object]) -> Distribution:
    if kind == "constant":
        return Constant(_required(block, "value"))
    if kind.startswith("categorical"):
        return _choice(block, kind)
    if kind.endswith("normal"):
        return _normal(kind, block)
    if kind.endswith("beta"):
        return Beta(_positive(block, "a", 1.0), _positive(block, "b", 1.0), _quantum(kind, block))
    return _range(kind, block)


def _range(kind: str, block: Mapping[str, object]) -> Range:
    """A uniform distribution; the ends of the logarithmic ones are exponents of e, but for those called values."""
    low, high = _ends(block)
    if kind == "int_uniform":
        if not (low.is_integer() and high.is_integer()):
            raise ConfigError(f"int_uniform expects whole numbers, but min is {low:g} and max is {high:g}")
        return Range(low, high, quantum=1)
    if "log" not in kind:
        return Range(low, high, quantum=_quantum(kind, block))
    if kind.endswith("values"):
        if low <= 0:
            raise ConfigError(f"{kind} expects min above 0, but it is {low:g}; log_uniform takes exponents of e")
        return Range(low, high, "log", _quantum(kind, block))
    if kind == "inv_log_uniform":
        low, high = -high, -low
    return Range(math.exp(low), math.exp(high), "log", _quantum(kind, block))


def _choice(block: Mapping[str, object], kind: str) -> Choice:
    values = _required(block, "values")
    if not isinstance(values, list) or not values:
        raise ConfigError("the list of values is empty or no list; expected values: [1, 2]")
    if any(value in values[:index] for index, value in enumerate(values)):
        raise ConfigError("a value comes twice in values")
    given = block.get("probabilities")
    if given is None and kind == "categorical":
        return Choice(tuple(values))
    shares = [_number(share, "probabilities") for share in given] if isinstance(given, list) else []
    if len(shares) != len(values) or min(shares) < 0 or abs(sum(shares) - 1.0) > _PROBABILITY_TOLERANCE:
        raise ConfigError(f"expected {len(values)} probabilities of at least 0, one for each value, in sum 1")
    return Choice(tuple(values), tuple(shares))


def _normal(kind: str, block: Mapping[str, object]) -> Normal:
    scale: Scale = "log" if "log" in kind else "linear"
    mean = _number(block.get("mu", 0.0), "mu")
    return Normal(mean, _positive(block, "sigma", 1.0), scale, _quantum(kind, block))


def _ends(block: Mapping[str, object]) -> tuple[float, float]:
    low, high = (_number(_required(block, key), key) for key in ("min", "max"))
    if low >= high:
        raise ConfigError(f"the range is empty: min is {low:g} and max is {high:g}; expected min below max")
    return low, high


def _quantum(kind: str, block: Mapping[str, object]) -> float | None:
    """The step of a quantised distribution, whole where it is written as a whole number."""
    if not kind.startswith("q_"):
        return None
    given = block.get("q", 1)
    number = _positive(block, "q", 1.0)
    return given if isinstance(given, int) else number


def _positive(block: Mapping[str, object], key: str, default: float) -> float:
    number = _number(block.get(key, default), key)
    if number <= 0:
        raise ConfigError(f"expected {key} above 0, but it is {number:g}")
    return number


def _number(value: object, key: str) -> float:
    if not is_number(value) or not math.isfinite(value):
        raise ConfigError(f"expected a finite number for {key}, but '{value}' came")
    return float(value)


def _required(block: Mapping[str, object], key: str) -> object:
    if key not in block:
        raise ConfigError(f"expected {key}, but it is missing")
    return block[key]


def overlapping(keys: Sequence[str]) -> tuple[str, str] | None:
    """Two keys of which one is a setting of the block that the other replaces whole; none if there are no such."""
    for key in keys:
        for other in keys:
            if other.startswith(f"{key}."):
                return key, other
    return None
