"""Which commands are still to be done on the way from two files to the rebuilt one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neuralmd.config import dump, load
from neuralmd.config.shipped import copy
from neuralmd.data.declared import Declared, LengthUnit
from neuralmd.data.matching import Match
from neuralmd.errors import ConfigError, DataError
from neuralmd.fitting import FitAndReconstruct

MATCH = Match(12, 0.5, velocities=True, frames=(2000, 400), notes=())


@pytest.fixture
def way(tmp_path: Path) -> FitAndReconstruct:
    for name in ("fine.h5", "coarse.h5"):
        (tmp_path / name).touch()
    return FitAndReconstruct(tmp_path / "fine.h5", tmp_path / "coarse.h5", tmp_path / "long run.h5", MATCH, 3.0)


def touch(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def trained(way: FitAndReconstruct) -> None:
    settings = next(words for words in way.commands() if words[0] == "train")[2:-1]
    copy("ethanol", way.output.with_name("long_run.yaml"), overwrite=True)
    touch(way.run / "config.yaml", dump(load(way.output.with_name("long_run.yaml"), settings)))
    for file in ("model.pt", "summary.json", "last.pt"):
        touch(way.run / file)


def test_all_of_it(way: FitAndReconstruct, tmp_path: Path) -> None:
    way.check()
    configs, train, evaluate, reconstruct = way.commands()
    assert configs == ["configs", "ethanol", "--output", str(tmp_path / "long_run.yaml")]
    assert train[:2] == ["train", str(tmp_path / "long_run.yaml")]
    assert {"data.stride=12", "model.error_bars.strides=[12]", "training.max_minutes=3"} <= set(train)
    assert train[-1] == "--overwrite"
    assert evaluate[-1] == str(tmp_path / "runs" / "long_run" / "evaluation.json")
    assert reconstruct[:3] == ["reconstruct", str(way.coarse), str(way.output)]
    assert reconstruct[-1] == "--resume"
    copy("ethanol", tmp_path / "long_run.yaml")
    experiment = load(tmp_path / "long_run.yaml", train[2:-1])
    assert experiment.run.folder == way.run


def test_what_is_done_is_not_done_again(way: FitAndReconstruct, tmp_path: Path) -> None:
    trained(way)
    assert [words[0] for words in way.commands()] == ["evaluate", "reconstruct"]
    longer = replace(way, minutes=10.0)
    touch(tmp_path / "long run.h5.blocks" / "settings.json", "{}")
    train, _, reconstruct = longer.commands()
    assert train[-1] == "--resume"
    assert reconstruct[-1] == "--overwrite"
    assert list(way.commands())[-1][-1] == "--resume"


def test_a_training_with_other_settings_is_refused_or_replaced(way: FitAndReconstruct) -> None:
    trained(way)
    wide = replace(way, overrides=["model.field.channels=7"])
    with pytest.raises(ConfigError, match=r"model\.field\.channels \(\d+ -> 7\); put them back, give another name"):
        wide.check()
    with pytest.raises(ConfigError, match=r"data\.stride \(12 -> 6\)"):
        replace(way, match=replace(MATCH, stride=6)).check()
    train, _, reconstruct = replace(wide, overwrite=True).commands()
    assert train[-1] == reconstruct[-1] == "--overwrite"
    for same in (way, replace(way, overwrite=True), replace(way, overrides=["device=cpu", "tracking.project=mine"])):
        same.check()
        assert [words[0] for words in same.commands()] == ["evaluate", "reconstruct"]


def test_more_steps_than_were_trained_are_trained(way: FitAndReconstruct) -> None:
    short = replace(way, overrides=["training.max_steps=100"])
    trained(short)
    assert [words[0] for words in short.commands()] == ["evaluate", "reconstruct"]
    for longer in (replace(way, overrides=["training.max_steps=200"]), way):
        longer.check()
        assert next(longer.commands())[-1] == "--resume"


def test_what_the_user_says_reaches_both_commands(way: FitAndReconstruct) -> None:
    of_fine = Declared(0.5, length_unit=LengthUnit("nm"), drop_cell=True)
    of_coarse = Declared(6.0, Path("atoms.pdb"), LengthUnit("bohr"), drop_cell=True)
    bare = replace(MATCH, velocities=False)
    told = replace(
        way, of_fine=of_fine, of_coarse=of_coarse, match=bare, overrides=["seed=3"], reconstruction=["--wrap"]
    )
    _, train, evaluate, reconstruct = told.commands()
    assert {"data.length_unit=nm", "data.drop_cell=true", "data.timestep=0.5", "seed=3"} <= set(train)
    assert evaluate[-2:] == ["--anchor-velocities", "inferred"]
    assert not any(word.startswith("data.topology") for word in train)
    words = ["--timestep", "6.0", "--topology", "atoms.pdb", "--length-unit", "bohr", "--drop-cell"]
    assert reconstruct[3:10] == words
    assert "--wrap" in reconstruct


def test_refusals(way: FitAndReconstruct) -> None:
    with pytest.raises(ConfigError, match=r"data\.stride follows from the files"):
        replace(way, overrides=["data.stride=5"]).check()
    with pytest.raises(ConfigError, match="chanels"):
        replace(way, overrides=["model.field.chanels=5"], overwrite=True).check()
    with pytest.raises(DataError, match="is one of the files"):
        replace(way, output=way.coarse, overwrite=True).check()
    way.output.touch()
    with pytest.raises(DataError, match="exists already"):
        way.check()
    replace(way, overwrite=True).check()
    touch(way.output.with_name("long run.h5.blocks") / "settings.json", "{}")
    way.check()


def test_the_report_names_errors_bars_and_files(way: FitAndReconstruct) -> None:
    methods = {
        "cubic_hermite": {"mae": 4e-3, "coverage": None},
        "neural_ode": {"mae": 2e-4, "coverage": 0.912, "error_bar": 5e-4},
    }
    touch(way.run / "evaluation.json", json.dumps({"windows": 33, "gap_fs": 6.0, "methods": methods}))
    text = "\n".join(way.report())
    assert "33 hidden test gaps of 6 fs: 2.00e-04 A (neural_ode)" in text
    assert "cubic_hermite: 4.00e-03 A, 20.0 times that" in text
    assert "91.2%" in text
    assert str(way.output) in text
