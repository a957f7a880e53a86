"""Every kind of field in a config: what is built, and which solver the config refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_fields import HYDROGENS
from test_repository import CONFIGS

from neuralmd import build
from neuralmd.config import load
from neuralmd.errors import ConfigError

BASE = "run: {name: a}\ndata: {path: a.h5}\n"
RK4 = "model.solver={kind: rk4}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(BASE)
    return path


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("{kind: equivariant, channels: 4}", "EquivariantField"),
        ("{kind: conservative, channels: 4}", "ConservativeField"),
        ("{kind: velocity_dependent, channels: 4}", "VelocityDependentField"),
        ("{kind: friction, field: {kind: conservative, channels: 4}, sign: any}", "FrictionField"),
        ("{kind: ensemble, members: 2, field: {kind: conservative, channels: 4}}", "EnsembleField"),
        ("{kind: mlp, width: 8, depth: 1}", "MLPField"),
        ("{kind: hamiltonian, width: 8, kinetic: exact}", "HamiltonianField"),
        ("{kind: calculator, method: gfn1-xtb}", "CalculatorField"),
    ],
)
def test_every_kind_of_field_is_built(config: Path, field: str, name: str) -> None:
    model = build.interpolator(load(config, [f"model.field={field}", RK4]).model, HYDROGENS, 0.5)
    assert type(model.field).__name__ == name


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds_its_model(path: Path) -> None:
    assert isinstance(build.interpolator(load(path).model, HYDROGENS, 0.5), torch.nn.Module)


@pytest.mark.parametrize("field", ["velocity_dependent", "friction", "mlp", "hamiltonian"])
def test_verlet_is_refused_for_what_is_not_reversible(config: Path, field: str) -> None:
    with pytest.raises(ConfigError, match=f"velocity_verlet .* field {field} .* rk4, midpoint or dopri5"):
        load(config, [f"model.field={{kind: {field}}}"])
    load(config, [f"model.field={{kind: {field}}}", RK4])


@pytest.mark.parametrize("field", ["{kind: mlp, inputs: positions}", "{kind: hamiltonian, kinetic: exact}"])
def test_verlet_is_taken_where_an_option_makes_the_field_reversible(config: Path, field: str) -> None:
    load(config, [f"model.field={field}"])


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["model.field.kind=magic"], "model.field.kind: expected one of calculator, conservative, ensemble, eq"),
        (["model.field={kind: mlp, channels: 3}", RK4], "model.field.channels: unknown key; known for kind mlp"),
        (["model.field={kind: friction, field: {kind: mlp}}", RK4], "model.field.field.kind: expected one of conserv"),
        (["model.field={kind: ensemble, members: 1}"], "model.field.members: "),
        (["model.field={kind: friction, field: {kind: equivariant, l_max: 9}}", RK4], "model.field.field.l_max: expec"),
        (["model.field={kind: calculator, method: pm6}"], "model.field.method: expected one of 'gfn2-xtb' or"),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_config(config: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config, overrides)
    assert told in str(caught.value)
