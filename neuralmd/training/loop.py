"""The training loop: one loop for all objectives, in plain view."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from neuralmd.errors import CheckpointError, ConfigError, SolverError
from neuralmd.training.checkpoint import load, load_weights, save
from neuralmd.training.clipping import Clipping
from neuralmd.training.processes import Processes
from neuralmd.training.schedule import Budget, Stage, locate
from neuralmd.training.tracking import Tracker

LAST = "last.pt"
"""A training in progress: all that is needed to go on."""

MODEL = "model.pt"
"""The averaged weights that validated best, with what is needed to use them."""

_LOG_EVERY = 100
_MOST_SKIPPED = 50
_BETA1 = 0.9


@dataclass(frozen=True)
class LoopSettings:
    """How the loop goes, whatever the objective.

    Attributes:
        ema_decay: Decay of the moving average of the weights, per step.
        clipping: Limits of the gradient's norm.
        beta2: Decay of Adam's mean of squared gradients, per step.
        validate_every: Steps between validations.
        checkpoint_every: Steps between checkpoints.
        patience: Validations without an improvement after which training stops early; none for never.
        seed: Seed of the order of the batches.
    """

    ema_decay: float = 0.999
    clipping: Clipping = field(default_factory=Clipping)
    beta2: float = 0.999
    validate_every: int = 500
    checkpoint_every: int = 500
    patience: int | None = None
    seed: int = 0


@dataclass
class Progress:
    """Where a training is; all of it goes into the checkpoint.

    Attributes:
        step: Optimizer steps taken.
        seconds: Time spent by the budget's clock, earlier sessions included [s].
        stage: Index of the stage.
        best: Lowest validation error so far [A], of weights without what is fitted at the end.
        stale: Validations since then.
        skipped: Batches in a row whose loss or gradient was not finite.
        polished: Validation error of the best weights with what was fitted at the end [A]; none before the end.
        usual_norm: Of the gradient, lately; none at the start.
    """

    step: int = 0
    seconds: float = 0.0
    stage: int = 0
    best: float = math.inf
    stale: int = 0
    skipped: int = 0
    polished: float | None = None
    usual_norm: float | None = None

    @property
    def error(self) -> float:
        """Validation error of MODEL [A]."""
        return self.best if self.polished is None else self.polished


@dataclass(eq=False)
class Loop:
    """One training of one model.

    Attributes:
        model: What learns; float32 on the device of `processes`.
        stages: What is minimised, in order; their shares sum to 1.
        budget: When it ends.
        settings: How it goes.
        validate: Errors of a model on the validation part; the entry `validation/mae_A` [A] ranks checkpoints.
        identity: What MODEL shall say beside the weights: configuration, system.
        folder: Where the checkpoints go.
        processes: Who learns: this process, or several that share each batch and are at the same step.
        polish: What is fitted at the end, to the weights that validated best; none if there is nothing.
    """

    model: nn.Module
    stages: tuple[Stage, ...]
    budget: Budget
    settings: LoopSettings
    validate: Callable[[nn.Module], Mapping[str, float]]
    identity: Mapping[str, object]
    folder: Path
    processes: Processes
    polish: Callable[[nn.Module], None] | None = None
    at: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.settings.seed)
        self.average = AveragedModel(self.model, multi_avg_fn=_moving_average(self.settings.ema_decay))
        self.optimizer = self._new_optimizer()
        smallest, count = min(stage.objective.batch_size for stage in self.stages), self.processes.count
        if smallest < count:
            raise ConfigError(
                f"a batch of {smallest} cannot be shared by {count} processes: raise batch_size in training.stages, "
                f"which counts the members of the whole batch, or start no more than {smallest}"
            )

    def fit(self, tracker: Tracker | None, advance: Callable[[int], None] | None = None) -> Progress:
        """Train until the budget is spent or validation no longer improves.

        Args:
            tracker: Takes the metrics; none in a process that is not the first, which only learns.
            advance: Called with the thousandths of the budget that are spent.

        Returns:
            Where the training is; in a process that is not the first, as of the last step.

        Raises:
            SolverError: If the loss stays non-finite.
            CheckpointError: If a checkpoint cannot be written.
            ProcessError: If another process is gone.
        """
        for module in (self.model, self.average):
            self.processes.equalise(module)
        began = self.budget.clock() - self.at.seconds
        optimizer = self.processes.fabric.setup_optimizers(self.optimizer)
        losses: list[Tensor] = []
        try:
            while not self._finished():
                stage, done = locate(self.stages, self._spent())
                if stage != self.at.stage:
                    self.at.stage, self.at.usual_norm, self.optimizer = stage, None, self._new_optimizer()
                    optimizer = self.processes.fabric.setup_optimizers(self.optimizer)
                losses.append(self._step(optimizer, done, began))
                self.at.step += 1
                self._report(losses, tracker, advance)
                self._checkpoint(tracker)
        except KeyboardInterrupt:
            if tracker is not None:
                self._save_last()
            raise
        if tracker is None:
            return self.at
        self._validate(tracker)
        if self.polish is not None and math.isfinite(self.at.best):
            self._finish(self.polish, tracker, began)
        self.at.seconds = self.budget.clock() - began
        self._save_last()
        return self.at

    def resume(self) -> None:
        """Go on where the folder's last checkpoint stands.

        Raises:
            CheckpointError: If there is none, or it is of another model or another number of stages.
        """
        path = self.folder / LAST
        with self.processes.together():
            content = load(path) if self.processes.is_first else {}
        content = self.processes.of_first(content)
        with self.processes.together():
            self._restore(content, path)

    def _restore(self, content: Mapping[str, object], path: Path) -> None:
        """Take a checkpoint's state."""
        try:
            self.at = Progress(**content["progress"])  # pyright: ignore[reportCallIssue]
            load_weights(self.model, content["model"], path)
            load_weights(self.average, content["average"], path)
            self.optimizer.load_state_dict(content["optimizer"])  # pyright: ignore[reportArgumentType]
            self.generator.set_state(content["generator"])  # pyright: ignore[reportArgumentType]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: is not a training in progress of this configuration") from error
        if self.at.stage >= len(self.stages):
            raise CheckpointError(f"{path}: is at stage {self.at.stage}, but there are {len(self.stages)}")

    def _step(self, optimizer: Any, done: float, began: float) -> Tensor:
        """One step of an optimizer in Fabric's wrapper; the loss is that of the whole batch."""
        stage = self.stages[self.at.stage]
        objective = stage.objective
        for group in optimizer.param_groups:
            group["lr"] = stage.rate(done)
        mine = objective(objective.draw(self.generator, done), self.processes.share(objective.batch_size))
        optimizer.zero_grad()
        self.processes.fabric.backward(mine)
        spent = self.budget.clock() - began
        loss, self.at.seconds = self.processes.add_up(self.model.parameters(), mine, spent)
        norm, self.at.usual_norm = self.settings.clipping(self.model.parameters(), self.at.usual_norm)
        if math.isfinite(norm) and math.isfinite(float(loss)):
            optimizer.step()
            self.average.update_parameters(self.model)
            self.at.skipped = 0
        else:
            self.at.skipped += 1
            if self.at.skipped > _MOST_SKIPPED:
                diverged = SolverError(
                    f"training diverged: {_MOST_SKIPPED} batches in a row had a loss that is not finite, up to step "
                    f"{self.at.step}; lower the learning rate, or start a trajectory stage from a shorter stride"
                )
                raise self.processes.shared(diverged)
        return loss

    def _report(self, losses: list[Tensor], tracker: Tracker | None, advance: Callable[[int], None] | None) -> None:
        if self.at.step % _LOG_EVERY == 0:
            metrics = {
                "train/loss": float(torch.stack(losses).mean()),
                "train/learning_rate": self.optimizer.param_groups[0]["lr"],
                "train/minutes": self.at.seconds / 60.0,
            }
            if tracker is not None:
                tracker.log(metrics, self.at.step)
            losses.clear()
        if advance is not None:
            advance(round(1000 * min(self._spent(), 1.0)))

    def _checkpoint(self, tracker: Tracker | None) -> None:
        if self.at.step % self.settings.validate_every == 0:
            if tracker is not None:
                self._validate(tracker)
            self.at.best, self.at.stale = self.processes.of_first((self.at.best, self.at.stale))
        if tracker is not None and self.at.step % self.settings.checkpoint_every == 0:
            self._save_last()

    def _validate(self, tracker: Tracker) -> None:
        metrics = self.validate(self.average.module)
        if metrics["validation/mae_A"] < self.at.best:
            self.at.best, self.at.stale, self.at.polished = metrics["validation/mae_A"], 0, None
            weights = {"model": self.average.module.state_dict(), "progress": asdict(self.at)}
            save({**self.identity, **weights}, self.folder / MODEL)
        else:
            self.at.stale += 1
        so_far = {"validation/best_mae_A": self.at.best, "train/minutes": self.at.seconds / 60.0}
        tracker.log({**metrics, **so_far}, self.at.step)

    def _finish(self, polish: Callable[[nn.Module], None], tracker: Tracker, began: float) -> None:
        """Polish the weights that validated best, which need not be the last, and keep them whatever comes of it."""
        model, path = deepcopy(self.average.module), self.folder / MODEL
        load_weights(model, load(path)["model"], path)
        polish(model)
        metrics = self.validate(model)
        self.at.polished, self.at.seconds = metrics["validation/mae_A"], self.budget.clock() - began
        save({**self.identity, "model": model.state_dict(), "progress": asdict(self.at)}, path)
        so_far = {"validation/best_mae_A": self.at.error, "train/minutes": self.at.seconds / 60.0}
        tracker.log({**metrics, **so_far}, self.at.step)

    def _save_last(self) -> None:
        content = {
            **self.identity,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "progress": asdict(self.at),
        }
        save(content, self.folder / LAST)

    def _spent(self) -> float:
        return self.budget.progress(self.at.step, self.at.seconds)

    def _finished(self) -> bool:
        patience = self.settings.patience
        return self._spent() >= 1.0 or (patience is not None and self.at.stale >= patience)

    def _new_optimizer(self) -> Optimizer:
        return torch.optim.Adam(self.model.parameters(), lr=0.0, betas=(_BETA1, self.settings.beta2), fused=True)


def _moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average that forgets the random start: its decay is at most (1 + n) / (10 + n)."""

    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], updates: Tensor) -> None:
        count = float(updates)
        kept = min(decay, (1.0 + count) / (10.0 + count))
        for average, current in zip(averages, currents, strict=True):
            average.lerp_(current, 1.0 - kept)

    return update
