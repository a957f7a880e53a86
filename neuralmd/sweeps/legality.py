"""From drawn values to experiments, and the check before any trial starts that all of them will be experiments."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from neuralmd.config import Experiment
from neuralmd.config import load as load_experiment
from neuralmd.config.selection import CONFIG_KEY, condition, select
from neuralmd.errors import ConfigError
from neuralmd.sweeps.distributions import Value
from neuralmd.sweeps.space import Sweep

_MOST_CHECKED = 100
_SET_BY_THE_SWEEP = ("run.name", "run.root", "tracking.group")


def configs_of(sweep: Sweep) -> tuple[Path, ...]:
    """The configurations that the trials of a sweep start from.

    Raises:
        ConfigError: If it names none, or names one twice: in the command and as a parameter.
    """
    swept = sweep.parameters.get(CONFIG_KEY)
    try:
        if swept is None:
            return (select(sweep.words)[0],)
        values = [str(value) for value in swept.values() or ()]
        return tuple(select([f"{CONFIG_KEY}={value}", *sweep.words])[0] for value in values)
    except ConfigError as error:
        raise ConfigError(f"{sweep.path}: command and parameters.{CONFIG_KEY}: {error}") from None


def counting(sweep: Sweep, config: Path) -> list[str]:
    """The keys of a sweep that count for a configuration, in the order of the file."""
    return [key for key in sweep.parameters if condition(key, config)[0] in {None, config.stem}]


def words_of(sweep: Sweep, values: Mapping[str, Value]) -> list[str]:
    """The command line of a trial after `neuralmd train`, written as wandb's agent writes it."""
    return [*sweep.words, *(f"{key}={value}" for key, value in values.items())]


def experiment_of(sweep: Sweep, values: Mapping[str, Value]) -> Experiment:
    """The experiment that drawn values stand for.

    Raises:
        ConfigError: If it is none.
    """
    return load_experiment(*select(words_of(sweep, values)))


def grid_of(sweep: Sweep) -> Iterator[dict[str, Value]]:
    """Every point of a grid: all combinations of the values that count for each configuration."""
    for config in configs_of(sweep):
        swept = {CONFIG_KEY: str(config)} if CONFIG_KEY in sweep.parameters else {}
        keys = [key for key in counting(sweep, config) if key != CONFIG_KEY]
        for combination in itertools.product(*(sweep.parameters[key].values() or () for key in keys)):
            yield swept | dict(zip(keys, combination, strict=True))


def grid_size(sweep: Sweep) -> int:
    """Number of points of a grid."""
    return sum(
        math.prod(len(sweep.parameters[key].values() or ()) for key in counting(sweep, config) if key != CONFIG_KEY)
        for config in configs_of(sweep)
    )


def check(sweep: Sweep) -> None:
    """Refuse a sweep of which a trial would be no experiment.

    Every configuration loads. Every key is a setting of an experiment, every listed value is legal beside the first
    values of the others, and so are both ends and the middle of every range; then combinations at random.

    Raises:
        ConfigError: If not; one sentence, with the file and the key.
    """
    configs = configs_of(sweep)
    try:
        for config in configs:
            load_experiment(config)
        _check_keys(sweep, configs)
        for config in configs:
            for point in itertools.chain(_one_by_one(sweep, config), _at_random(sweep, config)):
                experiment_of(sweep, point)
    except ConfigError as error:
        sentence = str(error).removeprefix("the command line: ").removeprefix(f"{sweep.path}: ")
        raise ConfigError(f"{sweep.path}: parameters: {sentence}") from None


def require_data(sweep: Sweep) -> None:
    """Refuse a sweep whose trials would all fail for want of their trajectory.

    Raises:
        ConfigError: If a configuration names a file that is not there.
    """
    for config in configs_of(sweep):
        point = next(_one_by_one(sweep, config))
        data = experiment_of(sweep, point).data
        for path in (data.path, *data.also):
            if not path.is_file():
                raise ConfigError(f"{path}: there is no such trajectory, which {config} learns from; simulate it first")


def _check_keys(sweep: Sweep, configs: Sequence[Path]) -> None:
    if len({config.parent for config in configs}) > 1:
        raise ConfigError(
            f"{CONFIG_KEY}: expected configurations of one folder, since a setting is told by their names"
        )
    for key in sweep.parameters:
        name, setting = condition(key, configs[0])
        if name is not None and name not in {config.stem for config in configs}:
            swept = ", ".join(config.name for config in configs)
            raise ConfigError(f"{key}: counts for {name}{configs[0].suffix} only, but the sweep has {swept}")
        if setting in _SET_BY_THE_SWEEP:
            raise ConfigError(f"{key}: is set by the sweep itself; leave it out")


def _one_by_one(sweep: Sweep, config: Path) -> Iterator[dict[str, Value]]:
    keys = counting(sweep, config)
    first = {key: sweep.parameters[key].samples()[0] for key in keys}
    if CONFIG_KEY in first:
        first[CONFIG_KEY] = str(config)
    yield first
    for key in keys:
        if key != CONFIG_KEY:
            yield from (first | {key: value} for value in sweep.parameters[key].samples()[1:])


def _at_random(sweep: Sweep, config: Path) -> Iterator[dict[str, Value]]:
    draws = random.Random(0)  # noqa: S311 - no secret
    keys = counting(sweep, config)
    several = [key for key in keys if len(sweep.parameters[key].samples()) > 1 and key != CONFIG_KEY]
    for _ in range(_MOST_CHECKED if len(several) > 1 else 0):
        point = {key: sweep.parameters[key].at(draws.random()) for key in keys}
        yield point | ({CONFIG_KEY: str(config)} if CONFIG_KEY in point else {})
