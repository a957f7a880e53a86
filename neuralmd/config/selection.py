"""Which configuration the words of a command line choose, and which of the settings among them count for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neuralmd.config.experiment import Experiment
from neuralmd.errors import ConfigError

CONFIG_KEY = "config"
"""The word `config=PATH` names the configuration, as an agent of wandb passes a swept one."""


def select(words: Sequence[str]) -> tuple[Path, list[str]]:
    """The configuration, and the settings that count for it.

    The configuration is the first word, or PATH of a word `config=PATH` anywhere. A setting `NAME.KEY=VALUE` counts as
    `KEY=VALUE` if the configuration is NAME.yaml, and not at all if it is another one beside NAME.yaml.

    Args:
        words: `CONFIG KEY=VALUE...`, or `config=CONFIG KEY=VALUE...` in any order.

    Raises:
        ConfigError: If none or several configurations are named.
    """
    named = [word.removeprefix(f"{CONFIG_KEY}=") for word in words if word.startswith(f"{CONFIG_KEY}=")]
    rest = [word for word in words if not word.startswith(f"{CONFIG_KEY}=")]
    if rest and ("=" not in rest[0] or Path(rest[0]).is_file()):
        named.append(rest.pop(0))
    if len(named) != 1:
        came = f"{' and '.join(named)} came" if named else "none came"
        raise ConfigError(f"expected one configuration, as CONFIG.yaml or config=CONFIG.yaml, but {came}")
    config = Path(named[0])
    settings = []
    for word in rest:
        key, equals, value = word.partition("=")
        name, setting = condition(key, config)
        if name is None or name == config.stem:
            settings.append(f"{setting}{equals}{value}")
    return config, settings


def condition(key: str, config: Path) -> tuple[str | None, str]:
    """The name of the only configuration that a key counts for, none for all of them, and the key without that name.

    Args:
        key: Dotted path, with or without the name of a configuration before it.
        config: A configuration in whose folder the name is looked up.
    """
    parts = key.split(".")
    if parts[0] in Experiment.model_fields:
        return None, key
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        if name == config.stem or config.with_name(f"{name}{config.suffix}").is_file():
            return name, ".".join(parts[count:])
    return None, key
