"""`Processes`: the processes that share one training, as `torchrun` and `fabric run` start them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.single_device import SingleDeviceStrategy
from torch import Tensor, nn

from neuralmd.errors import ConfigError, NeuralMDError, ProcessError, ToldElsewhereError

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Processes:
    """All processes of a training, seen from one of them; in a training of one process, nothing is sent.

    L = sum_r L_r,  grad L = sum_r grad L_r

    Every process draws the whole batch from the same seed and computes what its own members add to the loss of the
    whole batch, L_r. The sums are made explicitly, in one message a step that holds all gradients, the loss and the
    time. `DistributedDataParallel` is not used: it averages over processes, which is wrong where they have different
    numbers of members; its hooks wait for every weight at each step, but a stage need not use them all; and its overlap
    of sending and computing gains nothing for networks of this size.

    The first process alone validates, fits what is fitted at the end, and writes: what is decided or written has then
    one source, whatever machines the others are on. They are told what their training depends on, and end before the
    last fit, so that nobody waits for it.

    Attributes:
        fabric: Device, precision, and the connection to the other processes.
    """

    fabric: Fabric

    @classmethod
    def alone(cls, device: torch.device) -> Processes:
        """This process only."""
        return cls(_fabric(device, 1))

    @classmethod
    def started(cls, device: torch.device) -> Processes:
        """Those that `torchrun` or `fabric run` started, connected by NCCL on GPUs and gloo on CPUs; or else this one.

        Args:
            device: What each computes on; GPUs are dealt out by the rank on the machine.

        Raises:
            ConfigError: If there is not a GPU for each, or `fabric run` asks for something else than the configuration.
            ProcessError: If the connection fails.
        """
        if _told("WORLD_SIZE") == 1 or not torch.distributed.is_torchelastic_launched():
            return cls.alone(device)
        here = _told("LOCAL_WORLD_SIZE")
        if device.type == "cuda" and here > torch.cuda.device_count():
            raise ConfigError(
                f"{here} processes were started on a machine with {torch.cuda.device_count()} GPUs: start one for each "
                "GPU (torchrun --nproc-per-node), or set device=cpu"
            )
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        try:
            if "LT_CLI_USED" in os.environ:  # fabric run says how many there are, and Fabric connects them itself
                fabric = _fabric(device, "auto")
            else:
                fabric = _fabric(device, here, _told("WORLD_SIZE") // here)
                fabric.launch()
        except ValueError as error:
            raise ConfigError(f"{_told('WORLD_SIZE')} processes, {here} of them here: {error}") from error
        except RuntimeError as error:
            raise ProcessError(f"the {_told('WORLD_SIZE')} processes could not connect: {error}") from error
        return cls(fabric)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.fabric.world_size

    @property
    def is_first(self) -> bool:
        """Whether this is the one that decides and writes."""
        return self.fabric.is_global_zero

    def share(self, members: int) -> slice:
        """Which members of a batch are this process's."""
        return share(members, self.fabric.global_rank, self.count)

    def add_up(self, weights: Iterable[nn.Parameter], loss: Tensor, seconds: float) -> tuple[Tensor, float]:
        """Add the gradients of all processes up, in place, and their losses; the time is that of the first.

        Args:
            weights: Whose gradients.
            loss: What this process's members add to the loss.
            seconds: Time spent.

        Raises:
            ProcessError: If another process is gone.
        """
        loss = loss.detach()
        if self.count == 1:
            return loss, seconds
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        clock = loss.new_tensor(seconds if self.is_first else 0.0)
        message = torch.cat([*(gradient.flatten() for gradient in gradients), torch.stack((loss, clock))])
        with self._connected():
            self.fabric.all_reduce(message, reduce_op="sum")
        *sums, rest = message.split([*(gradient.numel() for gradient in gradients), 2])
        for gradient, total in zip(gradients, sums, strict=True):
            gradient.copy_(total.view_as(gradient))
        return rest[0], float(rest[1])

    def of_first(self, value: Value) -> Value:
        """The first process's value, in every process.

        Raises:
            ProcessError: If another process is gone.
        """
        if self.count == 1:
            return value
        with self._connected():
            return self.fabric.broadcast(value)

    def equalise(self, module: nn.Module) -> None:
        """Give the module the weights and buffers that it has in the first process."""
        if self.count > 1:
            state = {name: tensor.cpu() for name, tensor in module.state_dict().items()}
            module.load_state_dict(self.of_first(state))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do something in all processes, none of which goes on unless all have done it.

        Nothing may be sent meanwhile. If some fail, the first of them tells why.

        Raises:
            ToldElsewhereError: In place of the error that another process tells, or because of it.
            ProcessError: If another process is gone.
        """
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            if self.count == 1:
                raise
            failed = error
        if self.count == 1:
            return
        telling = self._first_of(failed is not None)
        if telling == self.fabric.global_rank and failed is not None:
            raise failed
        if telling < self.count:
            raise ToldElsewhereError(f"process {telling} of {self.count} tells why this training ends") from failed

    def shared(self, error: NeuralMDError) -> NeuralMDError:
        """An error that all processes meet at the same moment, to be raised: the first tells it."""
        return error if self.is_first else ToldElsewhereError(str(error))

    def _first_of(self, mine: bool) -> int:  # noqa: FBT001
        """The lowest rank for which something holds; the number of processes if it holds for none."""
        rank = torch.tensor(self.fabric.global_rank if mine else self.count, device=self.fabric.device)
        with self._connected():
            self.fabric.all_reduce(rank, reduce_op="min")
        return int(rank)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise ProcessError(
                f"process {self.fabric.global_rank} of {self.count} ends because another is gone: its own line says "
                "why, unless it was killed; --resume goes on from the last checkpoint"
            ) from error


def share(members: int, rank: int, count: int) -> slice:
    """One of so many consecutive shares of a batch, which differ by one member at most."""
    return slice(members * rank // count, members * (rank + 1) // count)


@contextmanager
def told_once() -> Iterator[None]:
    """Let one process of each machine tell an error that its fellows, not connected yet, meet as well.

    Raises:
        ToldElsewhereError: In its fellows, in place of the error.
    """
    try:
        yield
    except (NeuralMDError, OSError) as error:
        if not torch.distributed.is_torchelastic_launched() or _told("LOCAL_RANK", 0) == 0:
            raise
        raise ToldElsewhereError(str(error)) from error


def _fabric(device: torch.device, here: int | Literal["auto"], machines: int = 1) -> Fabric:
    try:
        accelerator = "cuda" if device.type == "cuda" else "cpu"
        fabric = Fabric(accelerator=accelerator, devices=here, num_nodes=machines, precision="32-true")
    except ValueError as error:
        if "LT_CLI_USED" not in os.environ:
            raise
        raise ConfigError(
            f"fabric run: {error} Leave --accelerator, --strategy and --precision out: the configuration rules"
        ) from error
    if not isinstance(fabric.strategy, DDPStrategy | SingleDeviceStrategy):
        raise ConfigError("fabric run: leave out --strategy, a training is shared by its batches only")
    return fabric


def _told(name: str, otherwise: int = 1) -> int:
    """A number that torchrun tells its processes."""
    return int(os.environ.get(name, otherwise))
