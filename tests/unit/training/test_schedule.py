"""Budgets, stages and learning rates."""

from __future__ import annotations

import pytest
from torch import Tensor

from neuralmd.training.objectives import Objective
from neuralmd.training.schedule import Budget, Stage, locate


class Nothing(Objective[None]):
    def draw(self, generator: object, progress: float) -> None:
        raise NotImplementedError

    def forward(self, batch: None) -> Tensor:
        raise NotImplementedError


def stage(share: float, warmup: float = 0.1) -> Stage:
    return Stage(Nothing(), share, 2.0, warmup)


def test_budget_ends_at_the_first_of_its_limits() -> None:
    assert Budget(100, None).progress(50, 1e9) == 0.5
    assert Budget(None, 2.0).progress(10**9, 30.0) == 0.25
    assert Budget(100, 2.0).progress(50, 90.0) == 0.75


def test_stages_follow_each_other_by_their_shares() -> None:
    stages = (stage(0.25), stage(0.75))
    assert locate(stages, 0.0) == (0, 0.0)
    assert locate(stages, 0.125) == (0, 0.5)
    assert locate(stages, 0.25) == (1, 0.0)
    assert locate(stages, 1.0) == (1, 1.0)
    assert locate(stages, 1.5) == (1, 1.0)


def test_learning_rate_rises_and_falls_once() -> None:
    one = stage(1.0, warmup=0.2)
    assert [one.rate(p) for p in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0])
    assert stage(1.0, warmup=0.0).rate(0.0) == 2.0


def test_what_is_reserved_for_the_end_shortens_the_steps_time() -> None:
    assert Budget(None, 2.0, reserved=0.25).progress(1, 45.0) == 0.5
    assert Budget(100, None, reserved=0.25).progress(50, 0.0) == 0.5
