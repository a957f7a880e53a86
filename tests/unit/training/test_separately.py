"""Models that learn side by side, each from batches of its own."""

from __future__ import annotations

import pytest
import torch
from analytic import HarmonicField, triangle
from small_fields import HYDROGENS, ensemble

from neuralmd.data.samples import DerivativeSamples
from neuralmd.errors import ConfigError
from neuralmd.fields.base import Field
from neuralmd.training.objectives import DerivativeMatching, DerivativeSettings, keep_all
from neuralmd.training.separately import Separately


@pytest.fixture(autouse=True)
def _double_precision() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def samples() -> DerivativeSamples:
    state = triangle(batch=40)
    return DerivativeSamples(state.positions, state.velocities, HarmonicField(0.3)(state).detach())


def objective(field: Field, batch_size: int = 4) -> DerivativeMatching:
    return DerivativeMatching(field, samples(), HYDROGENS, keep_all, DerivativeSettings(batch_size))


def test_the_loss_is_the_mean_of_losses_and_not_the_loss_of_the_mean() -> None:
    soft, stiff = HarmonicField(0.3 * 0.5**0.5), HarmonicField(0.3 * 1.5**0.5)
    both = Separately([objective(soft), objective(stiff)])
    batch = both.draw(torch.Generator().manual_seed(0), 0.0)
    alone = torch.stack([one(part) for one, part in zip(both.objectives, batch, strict=True)])
    assert both(batch).item() == pytest.approx(alone.mean().item())
    assert both(batch).item() > 0.05  # though the mean of both fields has no error at all


def test_each_has_a_batch_and_a_gradient_of_its_own() -> None:
    field = ensemble()
    both = Separately([objective(one) for one in field.members])
    batch = both.draw(torch.Generator().manual_seed(0), 0.0)
    assert not torch.equal(batch[0].positions, batch[1].positions)
    both(batch).backward()
    found = [parameter.grad.clone() for parameter in field.parameters() if parameter.grad is not None]
    field.zero_grad()
    for one, part in zip(both.objectives, batch, strict=True):
        one(part).backward()
    alone = [parameter.grad for parameter in field.parameters() if parameter.grad is not None]
    assert found
    torch.testing.assert_close(found, [gradient / 2 for gradient in alone])


def test_parts_of_a_batch_add_up_to_its_loss() -> None:
    both = Separately([objective(one) for one in ensemble().members])
    batch = both.draw(torch.Generator().manual_seed(0), 0.0)
    parts = both(batch, slice(0, 1)) + both(batch, slice(1, None))
    assert parts.item() == pytest.approx(both(batch).item())


def test_batches_of_different_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"but have 2: \[4, 5\]"):
        Separately([objective(HarmonicField(0.3)), objective(HarmonicField(0.3), 5)])
