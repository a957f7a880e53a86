"""What is kept when a training ends: the weights that validated best, with what is fitted at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from neuralmd.training.checkpoint import load
from neuralmd.training.loop import LAST, MODEL, Loop, LoopSettings, Progress
from neuralmd.training.objectives import ALL, Objective
from neuralmd.training.processes import Processes
from neuralmd.training.schedule import Budget, Stage
from neuralmd.training.tracking import METRICS_FILE, Tracker
from neuralmd.training.wandb_run import WandbSettings


class Counted(nn.Module):
    """A weight that grows by a training step, and a number that is fitted at the end."""

    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("fitted", torch.zeros(()))


class Growth(Objective[None]):
    def __init__(self, model: Counted) -> None:
        super().__init__()
        self.model, self.batch_size = model, 1

    def draw(self, generator: torch.Generator, progress: float) -> None: ...

    def forward(self, batch: None, rows: slice = ALL) -> Tensor:
        return -self.model.weight


def fit(model: nn.Module) -> None:
    """Fit to the weights that it is called with."""
    assert isinstance(model, Counted)
    model.fitted.copy_(model.weight.detach() + 100.0)


def trained(
    folder: Path, errors: list[float], polish: Callable[[nn.Module], None] | None, steps: int | None = None
) -> Progress:
    """A training whose validations have these errors, one after the other."""
    model, left = Counted(), iter(errors)

    def validate(_model: nn.Module) -> Mapping[str, float]:
        return {"validation/mae_A": next(left)}

    loop = Loop(
        model,
        (Stage(Growth(model), 1.0, 0.1, 0.1),),
        Budget(steps or len(errors) - 1 - (polish is not None), None),
        LoopSettings(ema_decay=0.0, validate_every=1, checkpoint_every=100),
        validate,
        {},
        folder,
        Processes.alone(torch.device("cpu")),
        polish,
    )
    if steps is not None:
        loop.resume()
    with Tracker(folder, {}, WandbSettings()) as tracker:
        return loop.fit(tracker)


def weight(folder: Path) -> tuple[float, float]:
    kept = load(folder / MODEL)["model"]
    assert isinstance(kept, dict)
    return float(kept["weight"]), float(kept["fitted"])


def test_the_best_weights_get_the_fits_though_they_are_not_the_last(tmp_path: Path) -> None:
    reached = trained(tmp_path / "a", [3.0, 1.0, 2.0, 2.0, 1.5], fit)
    kept, fitted = weight(tmp_path / "a")
    last = load(tmp_path / "a" / LAST)["average"]
    assert isinstance(last, dict)
    assert 0.0 < kept < float(last["module.weight"])
    assert fitted == pytest.approx(kept + 100.0)
    assert float(last["module.fitted"]) == 0.0
    assert (reached.best, reached.polished, reached.error) == (1.0, 1.5, 1.5)
    lines = (tmp_path / "a" / METRICS_FILE).read_text().splitlines()
    assert json.loads(lines[-1])["validation/best_mae_A"] == 1.5


def test_without_fits_nothing_is_validated_twice(tmp_path: Path) -> None:
    reached = trained(tmp_path / "a", [3.0, 1.0, 2.0, 2.0], None)
    assert weight(tmp_path / "a")[1] == 0.0
    assert (reached.best, reached.polished, reached.error) == (1.0, None, 1.0)


def test_a_training_that_goes_on_competes_with_weights_and_not_with_their_fits(tmp_path: Path) -> None:
    trained(tmp_path / "a", [3.0, 2.0, 2.0, 0.5], fit)
    before, _ = weight(tmp_path / "a")
    reached = trained(tmp_path / "a", [1.0, 1.0, 0.4], fit, steps=3)
    after, fitted = weight(tmp_path / "a")
    assert after > before
    assert fitted == pytest.approx(after + 100.0)
    assert (reached.best, reached.error) == (1.0, 0.4)


def test_nothing_is_kept_of_weights_that_never_validated(tmp_path: Path) -> None:
    reached = trained(tmp_path / "a", [float("nan")] * 4, fit)
    assert not (tmp_path / "a" / MODEL).exists()
    assert reached.polished is None
