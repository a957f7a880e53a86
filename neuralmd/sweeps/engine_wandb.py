"""The sweep by wandb's server: created there, and run by agents, here and on any machine that knows its id."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuralmd.errors import ConfigError, NeuralMDError
from neuralmd.sweeps import records
from neuralmd.sweeps.legality import configs_of
from neuralmd.sweeps.space import ARGUMENTS, Sweep
from neuralmd.sweeps.trials import require_alike_trials
from neuralmd.training.wandb_run import has_login, resolve_mode

Engine = Literal["auto", "wandb", "optuna"]
"""Who draws: `auto` is wandb where a login is there and it is not told to be offline, else Optuna."""

_ID_FILE = "wandb-sweep"
_LOOK = 1.0  # s


@dataclass(frozen=True)
class Agents:
    """How a sweep is run by wandb.

    Attributes:
        folder: Where the sweep's id is kept.
        count: Agents on this machine.
        trials: Trials of all of them together; none for no limit but the sweep's own.
        max_minutes: Time after which the agents are ended [min]; none for no limit.
        resume: Whether the sweep may be there already.
    """

    folder: Path
    count: int = 1
    trials: int | None = None
    max_minutes: float | None = None
    resume: bool = False


def chosen(engine: Engine) -> Literal["wandb", "optuna"]:
    """The engine that a choice means on this machine, found without a network call or a question.

    Raises:
        ConfigError: If wandb is asked for and there is no login.
    """
    if engine == "auto":
        return "wandb" if resolve_mode("auto") == "online" else "optuna"
    if engine == "wandb" and not has_login():
        raise ConfigError(
            "--engine wandb needs a login, but there is none: run 'wandb login', set WANDB_API_KEY, or take "
            "--engine optuna, which needs no server"
        )
    return engine


def content_of(sweep: Sweep, folder: Path) -> dict[str, object]:
    """What wandb's server gets: the file, and in its command the folder that the runs shall lie in."""
    given = sweep.content.get("command")
    words = list(given) if isinstance(given, list) else ["${env}", "neuralmd", "train", *sweep.words, ARGUMENTS]
    words.insert(words.index(ARGUMENTS), f"run.root={folder}")
    return {"program": "neuralmd", **sweep.content, "name": sweep.name, "command": words}


def run(sweep: Sweep, settings: Agents) -> str:
    """Create a sweep on the server, or take up the one that the folder names, and run agents until it is done.

    Args:
        sweep: What is drawn; checked already.
        settings: How it is run.

    Returns:
        ENTITY/PROJECT/ID, or PROJECT/ID, by which agents on other machines join: `wandb agent ENTITY/PROJECT/ID`.

    Raises:
        ConfigError: If it is there already and not to be resumed, or its configurations were changed since.
        NeuralMDError: If the server refuses it, or an agent fails.
    """
    kept = settings.folder / _ID_FILE
    if kept.is_file() and not settings.resume:
        raise ConfigError(f"{settings.folder}: a sweep is there already; --resume goes on with it")
    records.keep(settings.folder, sweep)
    require_alike_trials(sweep, settings.folder)
    if not kept.is_file():
        kept.write_text(_create(sweep, settings.folder) + "\n", encoding="utf-8")
    path = kept.read_text(encoding="utf-8").strip()
    _run_agents(path, settings)
    return path


def _create(sweep: Sweep, folder: Path) -> str:
    import wandb

    tracking = _place_of(sweep)
    try:
        identity = wandb.sweep(content_of(sweep, folder), entity=tracking[0], project=tracking[1])
    except Exception as error:  # noqa: BLE001 - whatever the server or the network says
        raise NeuralMDError(f"wandb refused the sweep: {' '.join(str(error).split())}") from None
    return "/".join(part for part in (*tracking, identity) if part)


def _place_of(sweep: Sweep) -> tuple[str | None, str]:
    """Entity and project of a sweep: the file's own, or else those of its first configuration."""
    from neuralmd.config import load

    own = load(configs_of(sweep)[0]).tracking
    entity, project = sweep.content.get("entity", own.entity), sweep.content.get("project", own.project)
    return None if entity is None else str(entity), str(project)


def _run_agents(path: str, settings: Agents) -> None:
    each = [] if settings.trials is None else ["--count", str(-(-settings.trials // settings.count))]
    command = [sys.executable, "-m", "wandb", "agent", *each, path]
    agents = [subprocess.Popen(command) for _ in range(settings.count)]  # noqa: S603 - wandb's own program
    until = None if settings.max_minutes is None else time.monotonic() + 60.0 * settings.max_minutes
    try:
        while any(agent.poll() is None for agent in agents):
            if until is not None and time.monotonic() > until:
                return
            time.sleep(_LOOK)
    finally:
        for agent in agents:
            agent.terminate()
    if failed := [agent.returncode for agent in agents if agent.returncode]:
        raise NeuralMDError(f"{path}: an agent of wandb ended with code {failed[0]}; what it said is above")
