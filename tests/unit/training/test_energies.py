"""Energies beside accelerations: what they add to a loss, and to what is learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from analytic import triangle
from small_fields import HYDROGENS

from neuralmd.data.samples import DerivativeSamples
from neuralmd.errors import DataError
from neuralmd.fields.conservative import ConservativeField
from neuralmd.training.energies import EnergyMatching
from neuralmd.training.objectives import DerivativeMatching, DerivativeSettings, keep_all

FAR = -137.0
"""A constant that no field can know [eV]."""


@pytest.fixture(autouse=True)
def _double_precision() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def field(seed: int) -> ConservativeField:
    torch.manual_seed(seed)
    return ConservativeField(HYDROGENS, channels=4, l_max=1, layers=1)


def samples(truth: ConservativeField) -> DerivativeSamples:
    state = triangle(batch=40)
    energies = truth.energy(state.positions).detach() + FAR
    return DerivativeSamples(state.positions, state.velocities, truth(state).detach(), energies=energies)


def objective(learner: ConservativeField, known: DerivativeSamples, weight: float) -> DerivativeMatching:
    return DerivativeMatching(
        learner, known, HYDROGENS, keep_all, DerivativeSettings(8), energies=EnergyMatching(learner, known, weight)
    )


def test_the_true_field_has_no_loss_whatever_the_zero_of_energy() -> None:
    truth = field(0)
    known = samples(truth)
    assert objective(truth, known, 1.0)(known).item() < 1e-18
    assert known.energies is not None
    wrong = replace(known, energies=2.0 * known.energies)
    # Of a difference of energies, half is missing; x_0 is not exactly in their middle.
    centred = known.energies - known.energies.mean()
    expected = 0.25 * (1.0 + float(centred.abs().min() / centred.std(correction=0)) ** 2)
    assert objective(truth, wrong, 1.0)(wrong).item() == pytest.approx(expected, rel=1e-9)
    assert objective(truth, wrong, 0.3)(wrong).item() == pytest.approx(0.3 * expected, rel=1e-9)


def test_parts_of_a_batch_add_up_to_its_loss() -> None:
    known = samples(field(0))
    matching = objective(field(1), known, 0.5)
    batch = matching.draw(torch.Generator().manual_seed(0), 0.0)
    parts = matching(batch, slice(0, 3)) + matching(batch, slice(3, None))
    assert parts.item() == pytest.approx(matching(batch).item(), rel=1e-12)


def test_energies_alone_teach_a_field_its_forces() -> None:
    truth, learner = field(0), field(1)
    known = samples(truth)
    energies = EnergyMatching(learner, known, 1.0)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)

    def error() -> float:
        found = learner.forward(triangle(batch=40)).detach()
        return float((found - known.accelerations).square().mean() / known.accelerations.square().mean())

    before = error()
    for _ in range(300):
        optimizer.zero_grad()
        energies(known).backward()
        optimizer.step()
    assert error() < 0.2 * before


def test_a_file_without_energies_or_with_one_only_is_refused() -> None:
    known = samples(field(0))
    with pytest.raises(DataError, match="holds no energies"):
        EnergyMatching(field(0), replace(known, energies=None), 1.0)
    with pytest.raises(DataError, match="are all the same"):
        EnergyMatching(field(0), replace(known, energies=torch.full((40,), FAR)), 1.0)
