"""Processes that share a reconstruction, as `torchrun` starts them: each does its part, the first what is done once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

from neuralmd.errors import NeuralMDError, ProcessError, ToldElsewhereError

Result = TypeVar("Result")

_LONGEST_WAIT = timedelta(days=30)


@dataclass(frozen=True)
class Workers:
    """This process among those that share a task.

    Attributes:
        rank: Its number, from 0 on.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether it does what is done once, and speaks for all."""
        return self.rank == 0

    def each(self, work: Callable[[], Result]) -> Result:
        """Do a part of the task in every process; none goes on before all are done.

        Returns:
            What this process's part gave.

        Raises:
            NeuralMDError: If this process cannot do its part and no earlier one tells of a failure.
            ToldElsewhereError: If an earlier one does.
            ProcessError: If another process is gone.
        """
        if self.count == 1:
            return work()
        from torch import distributed

        problem, result = None, None
        try:
            result = work()
        except NeuralMDError as error:
            problem = error
        failed: list[bool | None] = [None] * self.count
        try:
            distributed.all_gather_object(failed, problem is not None)
        except RuntimeError as error:
            raise problem or ProcessError(
                f"process {self.rank} of {self.count} ends because another is gone: the same command with --resume "
                "goes on with what is done"
            ) from error
        if True not in failed:
            return cast("Result", result)
        telling = failed.index(True)
        if problem is not None and telling == self.rank:
            raise problem
        raise ToldElsewhereError(f"process {telling} of {self.count} tells why this ends") from problem

    def first(self, work: Callable[[], Result]) -> Result | None:
        """Do something in the first process only; all go on when it is done. Errors are those of `each`.

        Returns:
            What it gave in the first process, nothing in the others.
        """
        return self.each(work if self.leads else _nothing)


ALONE = Workers()
"""A process that shares nothing."""


@contextmanager
def connected() -> Iterator[Workers]:
    """The processes that `torchrun` started with this one, connected while the context lasts; else this one alone.

    Each computes on a GPU of its own where there are enough.

    Raises:
        ProcessError: If they cannot connect.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        distributed.init_process_group("gloo", timeout=_LONGEST_WAIT)
    except RuntimeError as error:
        raise ProcessError(f"the {count} processes could not connect: {error}") from error
    try:
        yield Workers(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def _nothing() -> None:
    """What the others do meanwhile."""
