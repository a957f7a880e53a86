"""wandb's ways of drawing, by Optuna: samplers, the pruner, and a value of each distribution."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from neuralmd.config.selection import CONFIG_KEY
from neuralmd.sweeps.distributions import Choice, Constant, Distribution, Range, Value, rounded
from neuralmd.sweeps.legality import configs_of, counting
from neuralmd.sweeps.space import Halving, Sweep

_EDGE = 1e-6


def sampler_of(sweep: Sweep, place: int) -> BaseSampler:
    """What draws the values of one trial; which worker draws them makes no difference.

    For `bayes`, the tree-structured Parzen estimator, which knows conditional settings.

    Args:
        sweep: What is drawn.
        place: Which of the sweep's trials it is.
    """
    seed = zlib.crc32(f"{sweep.name} {place}".encode())
    if sweep.method == "bayes":
        return TPESampler(seed=seed, constant_liar=True)
    return RandomSampler(seed=seed)


def pruner_of(halving: Halving | None) -> BasePruner:
    """What stops a trial early: asynchronous successive halving, whose rungs are those of wandb's hyperband."""
    if halving is None:
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=halving.first, reduction_factor=halving.eta)


def sources_of(sweep: Sweep) -> Mapping[str, Distribution]:
    """What each varied setting is drawn from: in a grid, one of its values."""
    varied = {key: sweep.parameters[key] for key in sweep.varied}
    if sweep.method != "grid":
        return varied
    return {key: Choice(tuple(one.values() or ())) for key, one in varied.items()}


def space_of(source: Distribution) -> BaseDistribution:
    """What Optuna draws for a setting: the value itself, or the quantile of a distribution that it does not have."""
    match source:
        case Choice(probabilities=None):
            return CategoricalDistribution([label(option) for option in source.options])
        case Range(scale="linear", quantum=1):
            return IntDistribution(round(source.low), round(source.high))
        case Range(scale="linear", quantum=None):
            return FloatDistribution(source.low, source.high)
        case Range(scale="log"):
            return FloatDistribution(source.low, source.high, log=True)
        case _:
            return FloatDistribution(_EDGE, 1.0 - _EDGE)


def draw_all(sweep: Sweep, trial: Trial) -> dict[str, Value]:
    """Draw the values of a trial, or find them again where it has them: the configuration, then what counts for it."""
    sources = sources_of(sweep)
    first = configs_of(sweep)[0]
    values: dict[str, Value] = {}
    for key in sorted(sweep.parameters, key=lambda key: key != CONFIG_KEY):
        config = Path(str(values[CONFIG_KEY])) if CONFIG_KEY in values else first
        if key != CONFIG_KEY and key not in counting(sweep, config):
            continue
        one = sweep.parameters[key]
        values[key] = one.value if isinstance(one, Constant) else _draw(trial, key, sources[key])
    return values


def _draw(trial: Trial, key: str, source: Distribution) -> Value:
    space = space_of(source)
    match space:
        case CategoricalDistribution():
            return value_of(source, trial.suggest_categorical(key, space.choices))
        case IntDistribution():
            return trial.suggest_int(key, space.low, space.high)
        case FloatDistribution():
            return value_of(source, trial.suggest_float(key, space.low, space.high, log=space.log))
        case _:
            raise TypeError(f"no draw from {space}")


def value_of(source: Distribution, drawn: object) -> Value:
    """The value of a setting for which Optuna drew something."""
    match source, drawn:
        case Choice(probabilities=None), str():
            return next(option for option in source.options if label(option) == drawn)
        case Range(scale="log"), float():
            return rounded(drawn, source.quantum)
        case Range(scale="linear", quantum=None), float():
            return drawn
        case _, float():
            return source.at(drawn)
        case _:
            return drawn


def label(option: Value) -> str:
    """The text that stands for an option in the study, and after the key on a command line."""
    return str(option)
