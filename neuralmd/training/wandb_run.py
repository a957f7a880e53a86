"""One run of wandb that never asks, never talks to the terminal, and never stops a training."""

from __future__ import annotations

import logging
import netrc
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlparse

from neuralmd.errors import ConfigError
from neuralmd.training.provenance import code_state

if TYPE_CHECKING:
    from wandb import Run

_LOGGER = logging.getLogger(__name__)
_ID_FILE = "wandb-id"
_DEFAULT_SERVER = "https://api.wandb.ai"
_INIT_TIMEOUT = 60.0  # s

Mode = Literal["auto", "online", "offline", "disabled"]
"""Where a run goes: `auto` is online where a login is there, else offline."""


@dataclass(frozen=True)
class WandbSettings:
    """Where in wandb a run belongs.

    Attributes:
        mode: Whether metrics go to its server, into the run's folder, or nowhere.
        project: Project, which holds runs.
        entity: User or team; none for the login's own.
        group: Group of runs within the project.
        tags: Tags of the run.
        name: Name of the run; none for one that wandb invents.
        job_type: What kind of work the run is, to filter by; none for a training.
    """

    mode: Mode = "auto"
    project: str = "neuralmd"
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    name: str | None = None
    job_type: str | None = None


class WandbRun:
    """A run of wandb. Its failures are told once and otherwise ignored, because metrics.jsonl has every number.

    Args:
        folder: The run's folder, into which wandb writes too.
        settings: Where in wandb the run belongs.
        config: Every setting of the experiment by its dotted path.
        resume: Whether it goes on with the run of which the folder holds the id.

    Raises:
        ConfigError: If the mode is online and there is no login.
    """

    def __init__(
        self,
        folder: Path,
        settings: WandbSettings,
        config: Mapping[str, str | int | float | bool | None],
        *,
        resume: bool,
    ) -> None:
        self._run: Run | None = None
        mode = resolve_mode(settings.mode)
        if mode == "disabled":
            return
        identity = _identity(folder, resume=resume)
        for attempt in dict.fromkeys((mode, "offline")):
            self._guard(lambda attempt=attempt: self._start(folder, settings, config, attempt, identity))
            if self._run is not None:
                return

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Send the metrics of one step."""
        run = self._run
        if run is not None:
            # Steps of its own would make wandb drop what a resumed run sends again.
            self._guard(lambda: run.log({**metrics, "step": step}))

    def summarise(self, summary: Mapping[str, float | None]) -> None:
        """Set the numbers that sum the run up."""
        run = self._run
        if run is not None:
            self._guard(lambda: run.summary.update(dict(summary)))

    def show(self, images: Mapping[str, Path], columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Send figures by name, and a table called `table`."""
        run = self._run
        if run is None:
            return
        import wandb

        def send() -> None:
            figures = {name: wandb.Image(str(path)) for name, path in images.items()}
            run.log({**figures, "table": wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

        self._guard(send)

    def keep(self, file: Path, name: str) -> None:
        """Send a file as an artifact, a model."""
        run = self._run
        if run is not None:
            self._guard(lambda: run.log_artifact(str(file), name=name, type="model"))

    def finish(self, exit_code: int) -> None:
        """End the run; beyond the first time, nothing happens."""
        run, self._run = self._run, None
        if run is not None:
            self._guard(lambda: run.finish(exit_code=exit_code))

    def _start(
        self,
        folder: Path,
        settings: WandbSettings,
        config: Mapping[str, str | int | float | bool | None],
        mode: Literal["online", "offline"],
        identity: str,
    ) -> None:
        # Reports of wandb's own errors would go over the network in offline mode too; read at its first import.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        run = wandb.init(
            project=settings.project,
            entity=settings.entity,
            group=settings.group,
            tags=list(settings.tags),
            name=settings.name,
            job_type=settings.job_type,
            config=dict(config) | code_state(),
            dir=folder,
            id=identity,
            mode=mode,
            resume="allow" if mode == "online" else None,
            settings=wandb.Settings(silent=True, console="off", init_timeout=_INIT_TIMEOUT),
        )
        run.define_metric("*", step_metric="step")
        self._run = run

    def _guard(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a tracker must not kill a training, whatever breaks in it
            self._run = None
            reason = " ".join(str(error).split()) or type(error).__name__
            _LOGGER.warning("wandb failed (%s); metrics.jsonl has every number", reason)


def resolve_mode(mode: Mode) -> Literal["online", "offline", "disabled"]:
    """What a mode means on this machine, found without a network call or a question.

    For `auto`, the variable WANDB_MODE decides if it is set.

    Raises:
        ConfigError: If the mode is online and there is no login.
    """
    chosen = os.environ.get("WANDB_MODE", mode) if mode == "auto" else mode
    if chosen == "online" and not has_login():
        raise ConfigError(
            "tracking.wandb = online needs a login, but there is none: run 'wandb login', set WANDB_API_KEY, "
            "or set tracking.wandb to offline"
        )
    match chosen:
        case "online" | "offline" | "disabled":
            return chosen
        case _:
            return "online" if has_login() else "offline"


def agent_run() -> str | None:
    """The id that an agent of wandb gives the run that it starts; none where no agent of a sweep started this."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


def has_login() -> bool:
    """Whether wandb has a key: in WANDB_API_KEY, or for its server in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", _DEFAULT_SERVER)).hostname or ""
    named = os.environ.get("NETRC")
    files = [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]
    return any(_names(file, host) for file in files)


def _names(file: Path, host: str) -> bool:
    try:
        return host in netrc.netrc(file).hosts
    except (OSError, ValueError, netrc.NetrcParseError):
        return False


def _identity(folder: Path, *, resume: bool) -> str:
    """The id of the folder's wandb run: an agent's, the stored one of a run that goes on, a new one otherwise."""
    file = folder / _ID_FILE
    if given := agent_run():
        file.write_text(given + "\n", encoding="utf-8")
        return given
    if resume and file.exists() and (stored := file.read_text(encoding="utf-8").strip()):
        return stored
    identity = secrets.token_hex(4)
    file.write_text(identity + "\n", encoding="utf-8")
    return identity
