"""Sweep files: what is read and refused, which settings count for which configuration, and those that come along."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from neuralmd import build
from neuralmd.config import load as load_experiment
from neuralmd.config.selection import select
from neuralmd.data.molecules import molecule
from neuralmd.errors import ConfigError
from neuralmd.sweeps.legality import check, configs_of, counting, experiment_of, grid_of, grid_size, words_of
from neuralmd.sweeps.space import Halving, load
from neuralmd.system import System

NODE = "run: {name: node}\ndata: {path: a.h5}\n"
LSTM = "run: {name: lstm}\ndata: {path: a.h5}\nmodel: {kind: recurrent}\ntraining: {stages: [{kind: trajectory}]}\n"
SWEEP = """
method: grid
metric: {name: validation/best_mae_A}
command: [neuralmd, train, "${args_no_hyphens}"]
parameters:
  config: {values: [node.yaml, lstm.yaml]}
  seed: {values: [0, 1]}
  node.model.field.channels: {values: [4, 8, 16]}
  lstm.model.width: {values: [32, 64]}
  lstm.model.blend: {value: {kind: power, exponent: 2}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "node.yaml").write_text(NODE)
    (tmp_path / "lstm.yaml").write_text(LSTM)
    return tmp_path


def written(text: str) -> Path:
    Path("sweep.yaml").write_text(text)
    return Path("sweep.yaml")


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check(load(written(text)))
    sentence = str(caught.value)
    assert sentence.startswith("sweep.yaml: ")
    assert "\n" not in sentence
    return sentence


def test_a_setting_counts_for_its_own_configuration_only(place: Path) -> None:
    sweep = load(written(SWEEP))
    check(sweep)
    assert configs_of(sweep) == (Path("node.yaml"), Path("lstm.yaml"))
    assert counting(sweep, Path("node.yaml")) == ["config", "seed", "node.model.field.channels"]
    points = list(grid_of(sweep))
    assert len(points) == grid_size(sweep) == 2 * 3 + 2 * 2
    assert len({str(point) for point in points}) == len(points)
    experiments = [experiment_of(sweep, point) for point in points]
    assert {one.model.field.channels for one in experiments if one.model.kind == "neural_ode"} == {4, 8, 16}
    recurrent = [one.model for one in experiments if one.model.kind == "recurrent"]
    assert {one.width for one in recurrent} == {32, 64}
    assert {one.blend.exponent for one in recurrent} == {2.0}


def test_words_are_told_apart_in_any_order(place: Path) -> None:
    words = ["seed=3", "config=lstm.yaml", "node.model.field.channels=4", "lstm.model.width=32"]
    assert select(words) == (Path("lstm.yaml"), ["seed=3", "model.width=32"])
    assert select(["node.yaml", *words[:1], *words[2:]]) == (Path("node.yaml"), ["seed=3", "model.field.channels=4"])
    assert select(["node.yaml", "absent.model.width=1"])[1] == ["absent.model.width=1"]
    for strange in ([], ["seed=3"], ["node.yaml", "config=lstm.yaml"]):
        with pytest.raises(ConfigError, match="expected one configuration"):
            select(strange)


def test_words_are_written_as_wandbs_agent_writes_them_and_read_back(place: Path) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    values = {
        "config": "lstm.yaml",
        "seed": 7,
        "lstm.model.blend": {"kind": "power", "exponent": 2},
        "training.max_minutes": None,
        "training.max_steps": 5,
        "training.gradient_clip": 1e-05,
        "tracking.tags": ["a", "b"],
        "tracking.model_artifact": True,
        "data.velocities": "central",
    }
    theirs = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
    sweep = load(written(SWEEP))
    assert words_of(sweep, values) == theirs["args_no_hyphens"]
    experiment = load_experiment(*select(theirs["args_no_hyphens"]))
    assert experiment.model.blend.exponent == 2.0
    assert experiment.training.max_minutes is None
    assert experiment.training.gradient_clip == 1e-5
    assert experiment.tracking.tags == ("a", "b")
    assert experiment.tracking.model_artifact is True
    assert experiment.data.velocities == "central"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("method: grid", "method: greedy", "method: expected one of grid, random, bayes, but 'greedy' came"),
        ("method: grid\n", "methods: grid\n", "methods: unknown key; did you mean 'method'?"),
        ("metric: {name: validation/best_mae_A}", "", "metric: expected {name: NAME"),
        ("validation/best_mae_A", "validation/loss", "metric.name: no run logs 'validation/loss'"),
        ("best_mae_A}", "best_mae_A, goal: least}", "metric.goal: expected one of minimize, maximize"),
        ("node.model.field.channels", "node.model.field.chanels", "model.field.chanels: unknown key; did you mean"),
        ("node.model.field.channels", "model.field.channels", "model.field: unknown key"),
        ("lstm.model.width", "lsmt.model.width", "lsmt: unknown key"),
        ("[4, 8, 16]", "[4, 0]", "model.field.channels: expected a value of at least 1, but 0 came"),
        ("[4, 8, 16]", "[]", "node.model.field.channels: the list of values is empty"),
        ("{values: [4, 8, 16]}", "{min: 8, max: 4}", "node.model.field.channels: the range is empty"),
        (
            "{values: [4, 8, 16]}",
            "{distribution: lognormal}",
            "unknown distribution 'lognormal'; did you mean log_normal",
        ),
        ("{values: [4, 8, 16]}", "{min: 1.0, max: 2.0}", "a grid needs values"),
        (
            "[node.yaml, lstm.yaml]",
            "[node.yaml]",
            "lstm.model.width: counts for lstm.yaml only, but the sweep has node",
        ),
        ("[node.yaml, lstm.yaml]", "[node.yaml, gone.yaml]", "gone.yaml: there is no such config file"),
        ("  seed:", "  run.name:", "run.name: is set by the sweep itself"),
        ("  seed:", "  training:", "training: expected a block of keys, but 0 came"),
        ("  seed:", "  a/b:", "'a/b' is no dotted path"),
        ('"${args_no_hyphens}"', '"${args}"', "command: expected [neuralmd, train, CONFIG"),
        ("train, ", "train, node.yaml, ", "expected one configuration"),
        ("method: grid\n", "method: grid\nrun_cap: 0\n", "run_cap: expected a whole number of at least 1"),
        (
            "method: grid\n",
            "method: grid\nearly_terminate: {type: hyperband}\n",
            "expected min_iter, or max_iter and s",
        ),
        ("method: grid\n", "method: grid\nearly_terminate: {type: median}\n", "early_terminate.type: expected one of"),
        ("method: grid\n", "method: grid\nname: a b\n", "name: expected a plain name"),
        ("parameters:", "parameters: [", "line "),
    ],
)
def test_a_sweep_that_cannot_run_is_refused_with_one_line(place: Path, old: str, new: str, told: str) -> None:
    assert old in SWEEP
    assert told in refusal(SWEEP.replace(old, new, 1))


def test_a_combination_that_is_no_experiment_is_found_among_legal_values(place: Path) -> None:
    text = SWEEP.replace("seed: {values: [0, 1]}", "data.stride: {values: [20, 10]}").replace(
        "lstm.model.width: {values: [32, 64]}", "lstm.training.stages.0.first_stride: {values: [5, 20]}"
    )
    assert "first_stride should be at most data.stride = 10" in refusal(text)


def test_both_ways_to_say_hyperband(place: Path) -> None:
    for text, expected in (
        ("{type: hyperband, min_iter: 3}", Halving(3, 3)),
        ("{type: hyperband, max_iter: 27, s: 2}", Halving(3, 3)),
        ("{type: hyperband, min_iter: 2, eta: 4, strict: true}", Halving(2, 4)),
    ):
        assert load(written(f"{SWEEP}early_terminate: {text}\n")).early_terminate == expected


def sweep_files() -> list[Path]:
    return sorted((Path(__file__).resolve().parents[3] / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("file", sweep_files(), ids=lambda path: path.stem)
def test_every_sweep_that_comes_along_is_legal_and_its_models_can_be_built(
    file: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    sweep = load(file)
    check(sweep)
    assert yaml.safe_load(file.read_text()) == sweep.content, "wandb reads YAML 1.1"
    assert sweep.name == file.stem
    assert sweep.method == "grid" or sweep.run_cap
    benzene = System.from_atomic_numbers(molecule("benzene").numbers.tolist())
    for config in configs_of(sweep):
        for last in (False, True):
            values = {key: sweep.parameters[key].samples()[-last] for key in counting(sweep, config)}
            if "config" in values:
                values["config"] = str(config)
            model = build.interpolator(experiment_of(sweep, values).model, benzene, 0.5)
            assert sum(weights.numel() for weights in model.parameters()) > 0


def test_there_are_sweeps_for_each_question() -> None:
    assert {file.stem for file in sweep_files()} >= {"node-against-lstm", "blend", "solver", "field-size", "stride"}
