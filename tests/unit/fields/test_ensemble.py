"""The mean of several fields."""

from __future__ import annotations

import pytest
import torch
from analytic import HarmonicField, triangle
from small_fields import ensemble, friction, hamiltonian

from neuralmd.errors import ConfigError
from neuralmd.fields.ensemble import EnsembleField


def test_it_is_the_mean_of_its_members_which_differ() -> None:
    field, state = ensemble(), triangle()
    each = [one(state) for one in field.members]
    assert not torch.allclose(each[0], each[1], rtol=0.1)
    torch.testing.assert_close(field(state), (each[0] + each[1]) / 2, rtol=0, atol=0)
    moved, accelerations = field.rates(state)
    assert torch.equal(moved, state.velocities)
    assert torch.equal(moved, field.velocity(state))
    torch.testing.assert_close(accelerations, field(state), rtol=0, atol=0)
    assert not field.depends_on_velocity


def test_errors_of_opposite_sign_cancel() -> None:
    state = triangle()
    soft, stiff = HarmonicField(0.2), HarmonicField(0.4)
    middle = EnsembleField([soft, stiff])
    torch.testing.assert_close(middle(state), (soft(state) + stiff(state)) / 2)


def test_disagreement_is_the_variance_of_the_members() -> None:
    state = triangle()
    one, other, third = (HarmonicField(0.2 * n**0.5) for n in (1, 2, 3))
    found = EnsembleField([one, other]).disagreement(state)
    apart = (one(state) - other(state)).square().mean((1, 2)) / 2  # of two numbers: half the square of their difference
    torch.testing.assert_close(found, apart)
    # accelerations in the ratio 1 : 2 : 3 have the variance 1, of two in the ratio 1 : 2 it is 1/2
    torch.testing.assert_close(EnsembleField([one, other, third]).disagreement(state), 2 * found)


def test_learned_velocities_are_averaged_too() -> None:
    members = [hamiltonian(), hamiltonian()]
    with torch.no_grad():
        for parameter in members[1].parameters():
            parameter.add_(0.1)
    field, state = EnsembleField(members), triangle()
    assert field.learns_velocity
    moved, accelerations = field.rates(state)
    torch.testing.assert_close(moved, (members[0].velocity(state) + members[1].velocity(state)) / 2)
    torch.testing.assert_close(moved, field.velocity(state))
    torch.testing.assert_close(accelerations, field(state))


def test_members_of_different_kinds_are_refused() -> None:
    with pytest.raises(ConfigError, match="has 2 of 2 kinds"):
        EnsembleField([HarmonicField(0.2), friction()])
    with pytest.raises(ConfigError, match="has 0 of 0 kinds"):
        EnsembleField([])


def test_it_says_what_it_is_made_of() -> None:
    assert str(ensemble()).startswith("EnsembleField(2 of EquivariantField(")
