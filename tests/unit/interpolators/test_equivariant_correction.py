"""The network that reads the mismatch: what it learns, what it is linear in, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from e3nn import o3
from springs import STEP, STRIDE, SYSTEM, Springs, thermostatted

from neuralmd.data.windows import Part, cut
from neuralmd.errors import DataError
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.equivariant_correction import FEATURES, EquivariantCorrection, MismatchNetwork
from neuralmd.interpolators.equivariant_fit import fit_equivariant_correction
from neuralmd.interpolators.mismatch import Solutions
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import System

TRAIN, TEST = Part((range(2000),)), Part((range(2000, 2600),))


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def corrected(gap: float = STRIDE * STEP) -> BidirectionalODE:
    torch.manual_seed(0)
    correction = EquivariantCorrection(SYSTEM, (gap,), channels=4)
    return BidirectionalODE(Springs(), VelocityVerlet(STEP), PowerBlend(3.0), correction)


def random_network() -> MismatchNetwork:
    torch.manual_seed(1)
    network = MismatchNetwork(SYSTEM, 4, 3)
    torch.nn.init.normal_(network.leave)
    return network.requires_grad_(requires_grad=False)


def test_a_thermostat_is_read_from_the_mismatch() -> None:
    frames, starts, model = thermostatted(0.01), TEST.starts(STRIDE, STRIDE), corrected()
    before = hidden_frame_errors(model, frames, starts, STRIDE).mae
    assert model.remark(STRIDE * STEP) is not None
    fit_equivariant_correction(model, frames, TRAIN, 300)
    assert hidden_frame_errors(model, frames, starts, STRIDE).mae < 0.7 * before
    assert model.remark(STRIDE * STEP) is None


def test_a_correction_that_does_not_help_is_left_out() -> None:
    """Where hidden frames are noise about the path, and anchors are exact, no mismatch tells of it."""
    frames, model = thermostatted(0.0), corrected()
    torch.manual_seed(0)
    noise = 0.01 * torch.randn_like(frames.positions)
    noise[::STRIDE] = 0.0
    noisy = replace(frames, positions=frames.positions + noise)
    apart = Part(tuple(range(start, start + STRIDE + 1) for start in range(0, 2000, 2 * STRIDE)))
    fit_equivariant_correction(model, noisy, apart, 50)
    assert "fitted for gaps of no fs" in str(model.remark(STRIDE * STEP))


def test_the_network_is_linear_in_the_vectors_and_turns_with_them() -> None:
    network, positions = random_network(), torch.randn(5, SYSTEM.atoms, 3)
    first, second = torch.randn(2, 5, 3, SYSTEM.atoms, FEATURES)
    mixed = network(positions, 2.0 * first - 0.5 * second)
    torch.testing.assert_close(mixed, 2.0 * network(positions, first) - 0.5 * network(positions, second))
    turn = -o3.rand_matrix().double()
    turned = network(positions @ turn.T + 1.0, torch.einsum("ij,bjaf->biaf", turn, first))
    torch.testing.assert_close(turned, torch.einsum("ij,bjaf->biaf", turn, network(positions, first)))
    assert (network(1.1 * positions, first) - network(positions, first)).abs().max() > 1e-3


def test_two_solutions_that_agree_are_not_corrected() -> None:
    correction = EquivariantCorrection(SYSTEM, (5.0,), channels=4)
    torch.nn.init.normal_(correction.networks[0].leave)
    correction.ready.fill_(value=True)
    s = torch.linspace(0, 1, 7)
    same = Path(torch.randn(7, 2, SYSTEM.atoms, 3), torch.randn(7, 2, SYSTEM.atoms, 3))
    probes = Path(same.positions[:5], same.velocities[:5])
    found = correction(Solutions(5.0, s, same, same, probes, probes), (same.velocities, same.velocities))
    assert not found.positions.any()
    other = Path(probes.positions + 0.1, probes.velocities)
    moved = correction(Solutions(5.0, s, same, same, probes, other), (same.velocities, same.velocities))
    assert moved.positions[3].abs().max() > 1e-3
    assert not moved.positions[[0, -1]].any()
    assert not moved.velocities[[0, -1]].any()


def test_what_it_cannot_be_fitted_to_is_refused() -> None:
    with pytest.raises(DataError, match="has 1 windows of stride 20, but the correction needs 20"):
        fit_equivariant_correction(corrected(), thermostatted(0.01), Part((range(21),)), 1)
    box = System(np.array([1, 1]), np.ones(2), cell=9.0 * np.eye(3), pbc=np.ones(3, dtype=bool))
    with pytest.raises(DataError, match="take kind least_squares"):
        EquivariantCorrection(box, (5.0,))
    frames = thermostatted(0.01)
    window = cut(frames, torch.tensor([2100]), STRIDE, torch.float64)
    model = corrected()
    (both,) = model.probed_solutions(window.anchors, window.times)
    assert model.correction is not None
    with pytest.raises(DataError, match="was not fitted for gaps of"):
        model.correction(both, (both.forward.positions, both.backward.positions))
