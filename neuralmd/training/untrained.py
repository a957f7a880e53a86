"""`Untrained`: what stands in the place of the loop where a model has no weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import nn

from neuralmd.training.checkpoint import load, save
from neuralmd.training.loop import LAST, MODEL, Progress
from neuralmd.training.tracking import Tracker


@dataclass(eq=False)
class Untrained:
    """A model with nothing to learn, which is validated once and saved as trained ones are.

    Attributes:
        model: What has no weights.
        validate: Errors of a model on the validation part; the entry `validation/mae_A` [A] goes into the summary.
        identity: What MODEL shall say beside the weights: configuration, system.
        folder: Where the checkpoints go.
        polish: What is fitted to the model before that; none if there is nothing.
        at: No step, and what validation gave.
    """

    model: nn.Module
    validate: Callable[[nn.Module], Mapping[str, float]]
    identity: Mapping[str, object]
    folder: Path
    polish: Callable[[nn.Module], None] | None = None
    at: Progress = field(default_factory=Progress)

    def fit(self, tracker: Tracker | None, advance: Callable[[int], None] | None = None) -> Progress:
        """Validate the model and save it.

        Args:
            tracker: Takes the metrics; none in a process that is not the first, which has nothing to do.
            advance: Called once, with 1000 thousandths.

        Raises:
            SolverError: If an ODE cannot be solved.
            CheckpointError: If a checkpoint cannot be written.
        """
        if tracker is None:
            return self.at
        if self.polish is not None:
            self.polish(self.model)
        metrics = self.validate(self.model)
        self.at.best = metrics["validation/mae_A"]
        tracker.log({**metrics, "validation/best_mae_A": self.at.best}, self.at.step)
        content = {**self.identity, "model": self.model.state_dict(), "progress": asdict(self.at)}
        for name in (MODEL, LAST):
            save(content, self.folder / name)
        if advance is not None:
            advance(1000)
        return self.at

    def resume(self) -> None:
        """Check that the run is there; there is nothing to go on with.

        Raises:
            CheckpointError: If it is not.
        """
        load(self.folder / LAST)
