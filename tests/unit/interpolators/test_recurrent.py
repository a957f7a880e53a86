"""Recurrent networks: what holds for them beyond what every interpolator keeps to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from neuralmd.data.anchors import Anchors
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.windows import Frames, Part, Window, cut
from neuralmd.errors import ConfigError, DataError
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.blending import LinearBlend, PowerBlend
from neuralmd.interpolators.orientation import BodyFrame, LabFrame, Orientation
from neuralmd.interpolators.recurrent import BackwardRNN, BidirectionalRNN, ForwardRNN, Rollout, step_length
from neuralmd.interpolators.recurrent_cells import Architecture, Cell
from neuralmd.interpolators.splines import CubicHermite
from neuralmd.interpolators.whole_gap import WholeGapRNN
from neuralmd.system import PhaseState, System
from neuralmd.training.augmentation import random_rotations, randomly_rotated
from neuralmd.training.objectives import TrajectoryMatching, TrajectorySettings

STEP, STRIDE = 0.5, 6
AMMONIA = System.from_atomic_numbers([7, 1, 1, 1])
SHAPE = np.array([[0.0, 0.0, 0.1], [0.94, 0.0, -0.3], [-0.47, 0.81, -0.3], [-0.47, -0.81, -0.3]])
TRAINING = Part((range(200),))
TIMES = torch.tensor([0.0, 0.5, 1.1, 2.0, 3.0], dtype=torch.float64)


def vibrating(frames: int = 300) -> Frames:
    """Every atom swings about its place, at frequencies of its own, while the molecule drifts."""
    rng = np.random.default_rng(0)
    omega, phase = rng.uniform(0.1, 0.5, (4, 3)), rng.uniform(0.0, 6.0, (4, 3))
    t = STEP * np.arange(frames)[:, None, None]
    x = SHAPE + 0.05 * np.sin(omega * t + phase) + 0.01 * t
    v = 0.05 * omega * np.cos(omega * t + phase) + 0.01
    return Frames.of(Trajectory.uniform(AMMONIA, x, STEP, velocities=v))


FRAMES = vibrating()


def network(orientation: Orientation | None = None, cell: Cell = Cell.LSTM) -> Rollout:
    torch.manual_seed(1)
    rollout = Rollout(AMMONIA, STEP, Architecture(cell, width=12, depth=2), orientation).double()
    rollout.normalisation.fit(FRAMES, TRAINING)
    return rollout


def whole_gap(orientation: Orientation | None = None, boundary_frames: int = 1) -> WholeGapRNN:
    torch.manual_seed(1)
    model = WholeGapRNN(AMMONIA, STEP, Architecture(Cell.GRU, width=12, depth=1), orientation, boundary_frames).double()
    model.fit_normalisation(FRAMES, TRAINING, STRIDE)
    return model


def windows(boundary: int = 1) -> Window:
    return cut(FRAMES, torch.tensor([10, 50, 130]), STRIDE, torch.float64, boundary=boundary)


def close(one: torch.Tensor, other: torch.Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


def reversed_in_time(anchors: Anchors) -> Anchors:
    return replace(
        anchors,
        start=PhaseState(anchors.end.positions, -anchors.end.velocities),
        end=PhaseState(anchors.start.positions, -anchors.start.velocities),
    )


@pytest.mark.parametrize("orientation", [LabFrame(), BodyFrame()])
@pytest.mark.parametrize("cell", list(Cell))
def test_a_gap_run_backward_gives_the_same_path_backward(orientation: Orientation, cell: Cell) -> None:
    model, anchors = BidirectionalRNN(network(orientation, cell), PowerBlend(3.0)), windows().anchors
    path, back = model(anchors, TIMES), model(reversed_in_time(anchors), (anchors.gap - TIMES).flip(0))
    close(back.positions.flip(0), path.positions)
    close(back.velocities.flip(0), -path.velocities)


@pytest.mark.parametrize(
    "make",
    [
        lambda axes: ForwardRNN(network(axes)),
        lambda axes: BidirectionalRNN(network(axes), LinearBlend()),
        whole_gap,
    ],
    ids=["forward", "bidirectional", "whole gap"],
)
def test_the_body_frame_makes_any_network_rotation_equivariant(make) -> None:
    window = windows()
    turned = randomly_rotated(window, torch.Generator().manual_seed(0))
    rotations = random_rotations(window.anchors.start.positions, torch.Generator().manual_seed(0))
    deviations = []
    for axes in (BodyFrame(), LabFrame()):
        model: Interpolator = make(axes)
        with torch.no_grad():
            path, other = model(window.anchors, TIMES), model(turned.anchors, TIMES)
        deviations.append(float((other.positions - path.positions @ rotations.mT).abs().max()))
    assert deviations[0] < 1e-11
    assert deviations[1] > 1e-4


def test_the_body_frame_takes_out_how_a_molecule_lies() -> None:
    masses = torch.as_tensor(AMMONIA.masses)
    shape = torch.as_tensor(SHAPE)
    shape = shape - (masses[:, None] * shape).sum(0) / masses.sum()
    many = shape.expand(20, 4, 3)
    many = many @ random_rotations(many, torch.Generator().manual_seed(2)).mT
    axes = BodyFrame()
    reference = axes.reference(many, masses)
    seen = many @ axes.rotations(many, reference, masses)
    close(seen, reference.expand(20, 4, 3), 1e-9)
    close(torch.linalg.svdvals(reference), torch.linalg.svdvals(shape), 1e-9)
    mirrored = axes.rotations(many * torch.tensor([1.0, 1.0, -1.0]), reference, masses)
    close(torch.linalg.det(mirrored), torch.ones(20, dtype=torch.float64))


def test_a_linear_molecule_has_no_axes_of_its_own() -> None:
    line = torch.tensor([[0.0, 0.0, z] for z in (-1.0, 0.0, 1.0)]).expand(4, 3, 3)
    with pytest.raises(DataError, match="orientation=lab"):
        BodyFrame().reference(line, torch.ones(3))


def test_the_forward_network_never_sees_the_second_anchor() -> None:
    model, anchors = ForwardRNN(network()), windows().anchors
    noise = torch.randn_like(anchors.end.positions)
    other = replace(anchors, end=PhaseState(anchors.end.positions + noise, anchors.end.velocities + noise))
    assert torch.equal(model(anchors, TIMES).positions, model(other, TIMES).positions)
    both = BidirectionalRNN(network(), LinearBlend())
    assert torch.equal(both.solutions(anchors, TIMES)[0].positions, both.solutions(other, TIMES)[0].positions)
    assert not torch.equal(both(anchors, TIMES).positions[1], both(other, TIMES).positions[1])


def test_both_directions_are_those_of_each_alone() -> None:
    rollout, anchors = network(), windows().anchors
    forward, backward = BidirectionalRNN(rollout, LinearBlend()).solutions(anchors, TIMES)
    close(forward.positions, ForwardRNN(rollout)(anchors, TIMES).positions)
    back = ForwardRNN(rollout)(reversed_in_time(anchors), (anchors.gap - TIMES).flip(0))
    close(backward.positions, back.positions.flip(0))
    close(backward.velocities, -back.velocities.flip(0))
    alone = BackwardRNN(rollout)(anchors, TIMES)
    close(backward.positions, alone.positions)
    close(backward.velocities, alone.velocities)


@pytest.mark.parametrize(
    "make", [lambda n: BidirectionalRNN(network(), LinearBlend(), n), lambda n: whole_gap(None, n)]
)
def test_boundary_frames_are_read_and_asked_for(make) -> None:
    one, three = make(1), make(3)
    assert torch.equal(one(windows(3).anchors, TIMES).positions, one(windows().anchors, TIMES).positions)
    assert not torch.equal(three(windows(3).anchors, TIMES).positions, one(windows().anchors, TIMES).positions)
    close(three(windows(3).anchors, TIMES).positions[[0, -1]], one(windows(3).anchors, TIMES).positions[[0, -1]], 0.0)
    with pytest.raises(DataError, match=r"3 consecutive fine frames.*1 came.*boundary_frames"):
        three(windows().anchors, TIMES)


def test_windows_carry_the_boundary_frames_of_their_segment() -> None:
    anchors = windows(3).anchors
    close(anchors.before.positions, torch.stack([FRAMES.positions[[i - 2, i - 1, i]] for i in (10, 50, 130)], dim=1))
    close(anchors.after.velocities, torch.stack([FRAMES.velocities[[i, i + 1, i + 2]] for i in (16, 56, 136)], dim=1))
    starts = Part((range(20, 60),)).starts(STRIDE, STRIDE, margin=2)
    assert starts.tolist() == [26, 32, 38, 44, 50]
    for edge in (1, 300 - STRIDE - 2):
        with pytest.raises(DataError, match="segment's end"):
            cut(FRAMES, torch.tensor([edge]), STRIDE, torch.float64, boundary=3)


def test_units_are_those_of_the_training_part() -> None:
    units = network().normalisation
    masses = units.masses[:, None]
    assert float((units.reference * masses).sum(0).abs().max()) < 1e-6
    axes = units.axes(FRAMES.positions[0:1])
    assert float(units.positions(axes, FRAMES.positions[None, :1]).abs().max()) < 4.0
    x, v = FRAMES.positions[:200], FRAMES.velocities[:200]
    bend = (x[1:] - x[:-1] - STEP * v[:-1]).square().mean((0, 2)).sqrt()
    close(units.bend[:, 0], bend)
    assert set(units.state_dict()) == {"masses", "reference", "displacement", "speed", "bend", "kick"}
    still = Frames.of(Trajectory.uniform(AMMONIA, np.zeros((9, 4, 3)), STEP, velocities=np.zeros((9, 4, 3))))
    with pytest.raises(DataError, match="never moves"):
        units.fit(still, Part((range(9),)))


def test_steps_have_the_length_that_divides_the_gap_and_is_closest_to_the_data_s() -> None:
    assert step_length(10.0, 0.5) == pytest.approx(0.5)
    assert step_length(1.1, 0.5) == pytest.approx(0.55)
    assert step_length(0.2, 0.5) == pytest.approx(0.2)
    anchors = replace(windows().anchors, gap=2.6)
    for model in (BidirectionalRNN(network(), LinearBlend()), whole_gap()):
        path = model(anchors, torch.tensor([0.0, 0.4, 1.3, 2.6], dtype=torch.float64))
        assert torch.equal(path.positions[-1], anchors.end.positions)


def test_the_whole_gap_keeps_the_velocities_of_both_anchors() -> None:
    window = windows()
    path = whole_gap()(window.anchors, TIMES)
    close(path.velocities[0], window.anchors.start.velocities)
    close(path.velocities[-1], window.anchors.end.velocities)
    spline = CubicHermite()(window.anchors, TIMES)
    assert float((path.positions - spline.positions).detach().abs().max()) > 1e-6


def test_random_rotations_are_rotations_and_uniform() -> None:
    many = random_rotations(torch.zeros(4000, 1, 3, dtype=torch.float64), torch.Generator().manual_seed(0))
    close(many @ many.mT, torch.eye(3, dtype=torch.float64).expand(4000, 3, 3))
    close(torch.linalg.det(many), torch.ones(4000, dtype=torch.float64))
    assert float(many.mean(0).abs().max()) < 0.05
    assert float((many.square().mean(0) - 1 / 3).abs().max()) < 0.02


def test_augmentation_turns_the_whole_window_and_nothing_but_turns_it() -> None:
    window = windows(2)
    turned = randomly_rotated(window, torch.Generator().manual_seed(0))
    rotations = random_rotations(window.anchors.start.positions, torch.Generator().manual_seed(0))
    close(turned.hidden @ rotations, window.hidden)
    close(turned.hidden_velocities @ rotations, window.hidden_velocities)
    close(turned.anchors.end.velocities @ rotations, window.anchors.end.velocities)
    close(turned.anchors.before.positions @ rotations, window.anchors.before.positions)
    model, spline = BidirectionalRNN(network(), LinearBlend()), CubicHermite()
    objective = TrajectoryMatching(
        model, FRAMES, TRAINING, STRIDE, TrajectorySettings(4, augmentation=randomly_rotated)
    )
    batch = objective.draw(torch.Generator().manual_seed(0), 0.0)
    close(spline(turned.anchors, TIMES).positions @ rotations, spline(window.anchors, TIMES).positions)
    assert bool(torch.isfinite(batch.hidden).all())


def test_a_network_needs_a_width() -> None:
    with pytest.raises(ConfigError, match="width"):
        Architecture(Cell.LSTM, width=0)
