"""The study of a sweep: its database, opened or made."""

from __future__ import annotations

import errno
import fcntl
import logging
import random
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from neuralmd.errors import ConfigError
from neuralmd.sweeps.drawing import pruner_of
from neuralmd.sweeps.space import Sweep

_SILENT_BEATS = 3
_ATTEMPTS = 5
_PATIENCE = 60  # s, for SQLite's lock
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_LOGGER = logging.getLogger(__name__)


def open_study(sweep: Sweep, url: str, heartbeat: int, lock: Path | None) -> tuple[optuna.Study, RDBStorage]:
    """The study of a sweep, which is made where it is not there yet.

    Args:
        sweep: Whose it is.
        url: Database, as SQLAlchemy names it.
        heartbeat: Seconds between a worker's signs of life; a trial without any for three times as long is dead.
        lock: A file by which workers take turns on SQLite; none for a server.

    Raises:
        ConfigError: If the database cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for attempt in range(_ATTEMPTS):
        try:
            with turn(lock), quiet():
                return _open(sweep, url, heartbeat)
        except ImportError as error:
            raise ConfigError(f"--storage: a package for this kind of database is missing: {error}") from None
        except (SQLAlchemyError, StorageInternalError, ValueError) as error:
            # Several machines that make the tables of one server at the same moment disturb each other.
            if attempt == _ATTEMPTS - 1 or not isinstance(error, IntegrityError | ProgrammingError):
                raise ConfigError(f"--storage: the database cannot be opened: {first_line(error)}") from None
            time.sleep(random.uniform(0.1, 1.0))  # noqa: S311 - no secret
    raise ConfigError("--storage: the database cannot be opened")


def _open(sweep: Sweep, url: str, heartbeat: int) -> tuple[optuna.Study, RDBStorage]:
    is_file = url.startswith("sqlite")
    storage = RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": _PATIENCE}} if is_file else {"pool_pre_ping": True},
        heartbeat_interval=heartbeat,
        grace_period=_SILENT_BEATS * heartbeat,
    )
    pruner = pruner_of(sweep.early_terminate)
    try:
        made = optuna.create_study(study_name=sweep.name, storage=storage, direction=sweep.metric.goal, pruner=pruner)
    except DuplicatedStudyError:
        return optuna.load_study(study_name=sweep.name, storage=storage, pruner=pruner), storage
    return made, storage


@contextmanager
def turn(lock: Path | None) -> Iterator[None]:
    """Wait for a turn and have it while the context lasts; at once without a lock."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _LOGGER.warning("%s: the file system has no locks; use one worker, or --storage with a server", lock)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notes on what it calls experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def first_line(error: Exception) -> str:
    """The first line of what a database said."""
    cause = error.__cause__ or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
