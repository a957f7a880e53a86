"""Experiments from YAML and the command line: what is read, what is refused, and how it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from neuralmd.config import (
    ContinuousAdjointConfig,
    Data,
    DerivativeStage,
    Dopri5Config,
    Experiment,
    LinearBlendConfig,
    NeuralODEConfig,
    RecurrentConfig,
    Run,
    Tracking,
    Training,
    TrajectoryStage,
    dump,
    flatten,
    load,
    yaml12,
)
from neuralmd.errors import ConfigError

COMPLETE = """
run: {name: demo}
data: {path: data/demo.h5, stride: 20}
model:
  kind: neural_ode
  solver: {kind: rk4, step: 0.5}
training:
  max_minutes: 1
  stages:
    - {kind: derivative, learning_rate: 8e-3, share: 0.5}
    - {kind: trajectory, share: 0.5}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text(COMPLETE)
    return path


def message(config: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(config, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_the_file_does_not_set_has_its_default(config: Path) -> None:
    experiment = load(config)
    assert experiment.data.path == Path("data/demo.h5")
    assert experiment.model.field.channels == 24
    assert experiment.model.blend.kind == "power"
    assert experiment.training.max_minutes == 1.0
    assert experiment.training.stages[0] == DerivativeStage(share=0.5)
    assert experiment.run.folder == Path("runs/demo")


def test_a_model_without_a_kind_is_a_neural_ode_and_a_recurrent_one_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("run: {name: a}\ndata: {path: a.h5}\nmodel: {blend: {kind: linear}}\n")
    assert load(path).model == NeuralODEConfig(blend=LinearBlendConfig())
    path.write_text(
        "run: {name: a}\ndata: {path: a.h5}\nmodel: {kind: recurrent, cell: gru}\n"
        "training: {stages: [{kind: trajectory}]}\n"
    )
    assert load(path).model == RecurrentConfig(cell="gru")
    assert flatten(load(path))["model.direction"] == "bidirectional"
    assert "model.cell: expected one of 'rnn', 'gru' or 'lstm'" in message(path, "model.cell=transformer")
    assert "model.field: unknown key; known for kind recurrent: " in message(path, "model.field={}")
    assert "training.stages.0: a derivative stage" in message(path, "training.stages=[{kind: derivative}]")
    assert "model.kind: expected one of neural_ode, recurrent, but 'spline' came" in message(path, "model.kind=spline")


def test_an_experiment_cannot_be_changed(config: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load(config).seed = 3


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("data.stride=10", "data.stride", 10),
        ("training.stages.0.batch_size=8", "training.stages.0.batch_size", 8),
        ("training.stages.1.learning_rate=1e-05", "training.stages.1.learning_rate", 1e-5),
        ("data.timestep=None", "data.timestep", None),
        ("data.timestep=null", "data.timestep", None),
        ("model.field.zero_net_force=False", "model.field.zero_net_force", False),
        ("model.field.zero_net_force=false", "model.field.zero_net_force", False),
        ("model.blend={kind: power, exponent: 2}", "model.blend.exponent", 2.0),
        ('model.blend={"kind": "power", "exponent": 2}', "model.blend.exponent", 2.0),
        ("model.blend={'kind': 'linear'}", "model.blend.kind", "linear"),
        ("model.solver.adjoint.method=rk4", "model.solver.adjoint.method", "rk4"),
        ("model.solver.adjoint.max_steps=50", "model.solver.adjoint.max_steps", 50),
        ("model.solver={kind: blanes_moan, adjoint: {kind: reversible}}", "model.solver.adjoint.checkpoints", 8),
        ("model.blend={kind: compact, margin: 0.1}", "model.blend.margin", 0.1),
        ("tracking.tags=[a, b]", "tracking.tags.1", "b"),
        ("tracking.tags=('a', 'b')", "tracking.tags.1", "b"),
        ("run.name=2024", "run.name", "2024"),
        ("tracking.group=1e5", "tracking.group", "1e5"),
        ("tracking.group=None", "tracking.group", None),
        ("data.path=data/a=b.h5", "data.path", "data/a=b.h5"),
    ],
)
def test_an_override_sets_its_value(config: Path, override: str, path: str, value: object) -> None:
    assert flatten(load(config, [override]))[path] == value


def test_the_last_override_wins(config: Path) -> None:
    assert load(config, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.strde=4", "data.strde: unknown key; did you mean 'stride'?"),
        ("stride=4", "stride: unknown key; did you mean 'data.stride'?"),
        ("zzz=4", "zzz: unknown key; known: data, device, model, run, seed, tracking, training"),
        ("model.solver.rtol=1e-3", "model.solver.rtol: unknown key; known for kind rk4: adjoint, kind, step"),
        ("training.stages.1.first_strid=4", "training.stages.1.first_strid: unknown key; did you mean 'first_stride'?"),
        ("data.stride=ten", "data.stride: expected a whole number, but the text 'ten' came"),
        ("data.stride=4.5", "data.stride: expected a whole number, but 4.5 came"),
        ("data.stride=True", "data.stride: expected a whole number, but true came"),
        ("data.stride=1", "data.stride: expected a value of at least 2, but 1 came"),
        ("data.path=[a]", "data.path: expected a text, but a list came"),
        ("data=None", "data: expected a block of keys, but null came"),
        ("data.velocities=forward", "'auto', 'stored', 'central' or 'seven_point', but the text 'forward' came"),
        ("data.segments=[]", "data.segments: expected a list of at least 1 entries"),
        ("data.segments=[-1]", "data.segments.0: expected a value of at least 0, but -1 came"),
        ("model.solver=rk4", "model.solver: expected a block whose kind is one of blanes_moan, dopri5, midpoint, rk"),
        ("model.solver={step: 1}", "model.solver: expected a block whose kind is one of"),
        (
            "model.solver.kind=euler",
            "model.solver.kind: expected one of blanes_moan, dopri5, midpoint, rk4, velocity_verlet",
        ),
        ("model.solver.adjoint.method=euler", "model.solver.adjoint.method: expected one of 'rk4', 'midpoint' or"),
        ("model.solver.adjoint.kind=reversible", "model.solver.adjoint.kind: expected one of 'continuous', but"),
        (
            "model.solver={kind: blanes_moan, adjoint: {}}",
            "adjoint: expected a block whose kind is one of continuous, r",
        ),
        ("model.solver.step=.nan", "model.solver.step: expected a finite number, but NaN came"),
        ("model.field.l_max=4", "model.field.l_max: expected a value of at most 3, but 4 came"),
        ("run.name=../x", "run.name: expected a plain name"),
        ("run.name=..", "run.name: expected a plain name"),
        ("training.stages=[]", "training.stages: expected a list of at least 1"),
        ("training.stages.2.share=1", "training.stages has 2 entries, 0..1, but not '2'"),
        ("training.stages.x.share=1", "training.stages has 2 entries, 0..1, but not 'x'"),
        ("training.stages.0.share=0.4", "training.stages: the shares of all stages should sum to 1, but sum to 0.9"),
        ("training.max_minutes=null", "training: at least one of max_minutes and max_steps should be set"),
        ("training.stages.1.first_stride=40", "first_stride should be at most data.stride = 20, but is 40"),
        ("data.train_fraction=0.95", "data: train_fraction + validation_fraction should be below 1"),
        ("data.segments=[1, 1]", "data: segments should name each segment once"),
        ("data.segments.0=1", "data.segments is no list in the file: give the whole list, as data.segments=[...]"),
        ("data.path.x=1", "data.path.x: data.path is 'data/demo.h5', not a block"),
        ("data.path={a", "data.path: line 1:"),
        ("data.path={1, 2}", "data.path: expected a text"),
        ("data.stride", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("data..stride=3", "expected KEY=VALUE"),
    ],
)
def test_a_bad_override_is_refused_in_one_line(config: Path, override: str, expected: str) -> None:
    assert expected in message(config, override)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("training.stages.0.target=forces", "training.stages.0.difference=numerov"), "but target forces reads none"),
        (
            ("model.solver={kind: velocity_verlet}", "training.stages.0.difference=seven_point"),
            "training.stages.0.difference seven_point fits the exact acceleration, which velocity_verlet with",
        ),
        (("model={kind: recurrent, blend: {kind: learned}}",), "expected one of compact, linear, power"),
        (
            ("model.blend={kind: learned, strides: [5]}", "model.correction={kind: bridge, strides: [5]}"),
            "blend learned is fitted to solutions that a bridge then moves",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(config: Path, overrides: tuple[str, ...], expected: str) -> None:
    assert expected in message(config, *overrides)


@pytest.mark.parametrize("solver", ["{kind: velocity_verlet, step: 0.1}", "{kind: blanes_moan}", "{kind: rk4}"])
def test_a_solver_that_may_step_finer_takes_any_difference(config: Path, solver: str) -> None:
    given = [f"model.solver={solver}", "training.stages.0.difference=numerov"]
    assert flatten(load(config, given))["training.stages.0.difference"] == "numerov"


def test_a_message_names_the_file_or_the_command_line(config: Path) -> None:
    assert message(config, "data.stride=x").startswith("the command line: data.stride: ")
    config.write_text(COMPLETE.replace("stride: 20", "stride: x"))
    assert message(config).startswith(f"{config}: data.stride: ")


def test_a_mistyped_key_is_told_before_the_missing_one(config: Path) -> None:
    config.write_text(COMPLETE.replace("path:", "pth:"))
    assert message(config) == f"{config}: data.pth: unknown key; did you mean 'path'? (and 1 more problem)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "it is empty"),
        ("- 1\n", "it holds something else"),
        ("run: {name: a\n", "line 2"),
        ("run:\n  name: a\n  name: b\n", "line 3: the key 'name' comes twice in one block"),
        ("run: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("a: &a [*a]\n", "Circular reference"),
        ("run: \x07\n", "no valid YAML"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(config: Path, text: str, expected: str) -> None:
    config.write_text(text)
    assert expected in message(config)
    assert str(config) in message(config)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert "there is no such config file" in message(tmp_path / "absent.yaml")
    assert "cannot be read" in message(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\x93\xff")
    assert "not text" in message(binary)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("8e-3", 8e-3),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("true", True),
    ],
)
def test_yaml_is_read_as_version_1_2(text: str, value: object) -> None:
    assert yaml12.parse(text) == value


TEXTS = st.text(min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    group=st.none()
    | TEXTS
    | st.sampled_from(["1e-5", "null", "yes", "0x1", "1:30", "=", "<<", "~", "- a", "a: b", "\x85", "\u2028"]),
    rate=st.floats(1e-12, 1e3),
    step=st.none() | st.floats(1e-6, 10),
    segments=st.none() | st.lists(st.integers(0, 50), min_size=1, unique=True).map(tuple),
)
def test_what_is_dumped_loads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    group: str | None,
    rate: float,
    step: float | None,
    segments: tuple[int, ...] | None,
) -> None:
    experiment = Experiment(
        run=Run(name="a"),
        data=Data(path=Path("x y.h5"), segments=segments),
        model=NeuralODEConfig(
            solver=Dopri5Config(rtol=rate, adjoint=ContinuousAdjointConfig(method="rk4", step=step)),
            blend=LinearBlendConfig(),
        ),
        training=Training(stages=(DerivativeStage(share=0.25, learning_rate=rate), TrajectoryStage(share=0.75))),
        tracking=Tracking(group=group, tags=("1e3", "b")),
    )
    path = tmp_path_factory.mktemp("dump") / "a.yaml"
    path.write_text(dump(experiment), encoding="utf-8")
    assert load(path) == experiment


def test_every_setting_of_an_experiment_is_documented() -> None:
    missing = [path for path, schema in described(Experiment.model_json_schema()) if "description" not in schema]
    assert [path for path in missing if not path.endswith(".kind")] == []


def described(schema: dict) -> list[tuple[str, dict]]:
    blocks = {"Experiment": schema, **schema["$defs"]}
    return [
        (f"{name}.{key}", entry) for name, block in blocks.items() for key, entry in block.get("properties", {}).items()
    ]


def test_flat_settings_are_scalars(config: Path) -> None:
    flat = flatten(load(config))
    assert flat["training.stages.1.kind"] == "trajectory"
    assert flat["tracking.tags"] == "[]"
    json.dumps(flat)
    assert all(not isinstance(value, list | dict) for value in flat.values())
