"""A batch that several processes share: what they add up is the loss of the batch, and its gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch
from small_fields import HYDROGENS, LEARNED
from torch import Tensor

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames, Part, cut, derivative_samples
from neuralmd.errors import ConfigError, NeuralMDError, ToldElsewhereError
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.recurrent_cells import Architecture, Cell
from neuralmd.interpolators.whole_gap import WholeGapRNN
from neuralmd.ode.adjoints import ReversibleAdjoint
from neuralmd.ode.solvers import RK4, VelocityVerlet
from neuralmd.training.augmentation import randomly_rotated
from neuralmd.training.objectives import (
    DerivativeMatching,
    DerivativeSettings,
    Objective,
    TrajectoryMatching,
    TrajectorySettings,
    project_out_velocity,
)
from neuralmd.training.processes import Processes, share, told_once

STEP, STRIDE, BATCH = 0.5, 6, 7
TRAINING = Part((range(100),))


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def vibrating() -> Frames:
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [0.6, 1.04, 0.0]])
    omega, phase = rng.uniform(0.1, 0.5, (3, 3)), rng.uniform(0.0, 6.0, (3, 3))
    t = STEP * np.arange(100)[:, None, None]
    x, v = corners + 0.1 * np.sin(omega * t + phase), 0.1 * omega * np.cos(omega * t + phase)
    return Frames.of(Trajectory.uniform(HYDROGENS, x, STEP, velocities=v))


def derivative(kind: str) -> Objective:
    frames = vibrating()
    samples = derivative_samples(frames, TRAINING)
    return DerivativeMatching(
        LEARNED[kind](torch.float64), samples, HYDROGENS, project_out_velocity, DerivativeSettings(BATCH)
    )


def trajectory(kind: str) -> Objective:
    match kind:
        case "adjoint":
            solver = VelocityVerlet(STEP, ReversibleAdjoint(1))
            model = BidirectionalODE(LEARNED["conservative"](torch.float64), solver, PowerBlend(3.0))
        case "learned velocity":
            model = BidirectionalODE(LEARNED["Hamiltonian"](torch.float64), RK4(STEP), PowerBlend(3.0))
        case _:
            torch.manual_seed(0)
            architecture = Architecture(Cell.GRU, width=6, depth=1)
            model = WholeGapRNN(HYDROGENS, STEP, architecture, None, boundary_frames=2).double()
            model.fit_normalisation(vibrating(), TRAINING, STRIDE)
    settings = TrajectorySettings(BATCH, velocity_weight=0.4, augmentation=randomly_rotated)
    return TrajectoryMatching(model, vibrating(), TRAINING, STRIDE, settings)


OBJECTIVES = {
    "derivative": (derivative, "conservative"),
    "derivative and velocity": (derivative, "Hamiltonian"),
    "trajectory by an adjoint": (trajectory, "adjoint"),
    "trajectory of a learned velocity": (trajectory, "learned velocity"),
    "recurrent trajectory": (trajectory, "recurrent"),
}


def shares(count: int, members: int = BATCH) -> list[slice]:
    return [share(members, rank, count) for rank in range(count)]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_shares_sum_to_the_loss_and_the_gradient_of_the_batch(name: str) -> None:
    make, kind = OBJECTIVES[name]
    objective = make(kind)
    batch = objective.draw(torch.Generator().manual_seed(0), 1.0)

    def found(rows: list[slice]) -> tuple[Tensor, list[Tensor]]:
        objective.zero_grad()
        losses = [objective(batch, some) for some in rows]
        for loss in losses:
            loss.backward()
        return torch.stack(losses).sum().detach(), [
            w.grad.clone() for w in objective.parameters() if w.grad is not None
        ]

    whole, gradients = found([slice(None)])
    assert torch.equal(whole, objective(batch).detach())
    assert any(bool(gradient.abs().max() > 0) for gradient in gradients)
    for count in (2, 3):
        loss, parts = found(shares(count))
        torch.testing.assert_close(loss, whole, rtol=1e-10, atol=0.0)
        torch.testing.assert_close(parts, gradients, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("count", "members"), [(1, 1), (1, 5), (2, 2), (3, 8), (5, 7), (7, 7), (4, 64)])
def test_every_member_is_in_one_share_and_shares_are_alike(count: int, members: int) -> None:
    rows = shares(count, members)
    assert [i for some in rows for i in range(members)[some]] == list(range(members))
    sizes = {len(range(members)[some]) for some in rows}
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 1


def test_members_of_anchors_are_those_that_are_cut_alone() -> None:
    from dataclasses import replace

    frames = replace(vibrating(), accelerations=vibrating().positions.sin())
    starts = torch.tensor([10, 20, 35, 50])
    some = cut(frames, starts, STRIDE, torch.float64, 2, 3).anchors.members(slice(1, 3))
    same(some, cut(frames, starts[1:3], STRIDE, torch.float64, 2, 3).anchors)


def same(first: object, second: object) -> None:
    if is_dataclass(first):
        for one in fields(first):
            same(getattr(first, one.name), getattr(second, one.name))
    else:
        assert first is not None
        torch.testing.assert_close(first, second, rtol=0.0, atol=0.0)


def test_one_process_sends_nothing_and_changes_nothing() -> None:
    alone = Processes.alone(torch.device("cpu"))
    assert (alone.count, alone.is_first, alone.share(5)) == (1, True, slice(0, 5))
    weight = torch.nn.Parameter(torch.ones(3))
    weight.square().sum().backward()
    loss, seconds = alone.add_up([weight], torch.tensor(2.0), 5.0)
    assert (float(loss), seconds) == (2.0, 5.0)
    assert weight.grad is not None
    assert weight.grad.tolist() == [2.0, 2.0, 2.0]
    value = object()
    assert alone.of_first(value) is value
    error = NeuralMDError("wrong")
    assert alone.shared(error) is error
    with pytest.raises(ZeroDivisionError), alone.together():
        raise ZeroDivisionError


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Processes.started(torch.device("cpu")).count == 1


def test_a_second_process_keeps_what_the_first_tells_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with pytest.raises(ConfigError), told_once():
        raise ConfigError("wrong")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    with pytest.raises(ToldElsewhereError), told_once():
        raise ConfigError("wrong")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(ConfigError), told_once():
        raise ConfigError("wrong")
