"""Which commands a demonstration still has to carry out, by what is in its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from neuralmd.cli import main
from neuralmd.config import dump, load
from neuralmd.config.shipped import copy, shipped, summary_of, text_of
from neuralmd.data.formats import read, write
from neuralmd.demo import Demo
from neuralmd.errors import ConfigError, DataError
from neuralmd.examples import example


def names(demo: Demo) -> list[str]:
    return [words[0] for words in demo.commands()]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_a_new_demonstration_does_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = list(Demo().commands())
    assert [words[0] for words in commands] == (
        ["configs", "simulate", "info", "train", "evaluate", "thin", "reconstruct"]
    )
    assert commands[0] == ["configs", "demo", "--output", "configs/demo.yaml"]
    assert "--equilibration" not in commands[1]
    assert commands[3] == ["train", "configs/demo.yaml", "training.max_minutes=5", "--overwrite"]


def test_one_that_was_stopped_goes_on(tmp_path: Path) -> None:
    demo, run = Demo(tmp_path, minutes=2.0, steps=900), tmp_path / "runs" / "demo"
    copy("demo", tmp_path / "configs" / "demo.yaml")
    touch(tmp_path / "data" / "demo.h5")
    assert names(demo)[:2] == ["info", "train"]
    touch(run / "last.pt")
    train = list(demo.commands())[1]
    assert train[-1] == "--resume"
    assert f"run.root={tmp_path / 'runs'}" in train
    for file in ("model.pt", "summary.json"):
        touch(run / file)
    (run / "config.yaml").write_text(text_of("demo").replace("max_minutes: 5", "max_minutes: 2"))
    assert "train" not in names(demo)
    assert "train" in names(Demo(tmp_path, minutes=3.0))
    (run / "config.yaml").write_text("damaged")
    assert "train" in names(demo)


def test_what_another_one_left_is_refused(tmp_path: Path) -> None:
    demo, run = Demo(tmp_path, steps=40), tmp_path / "runs" / "demo"
    demo.check()
    (tmp_path / "data").mkdir()
    write(read(example("benzene")).slice(0, 40), tmp_path / "data" / "demo.h5")
    demo.check()
    with pytest.raises(DataError, match=r"has 40 steps, but 14000 are wanted: take --steps 40, another --folder"):
        Demo(tmp_path).check()
    train = next(words for words in demo.commands() if words[0] == "train")
    copy("demo", tmp_path / "configs" / "demo.yaml")
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(dump(load(tmp_path / "configs" / "demo.yaml", train[2:-1])))
    demo.check()
    replace(demo, minutes=9.0).check()
    config = tmp_path / "configs" / "demo.yaml"
    config.write_text(config.read_text().replace("channels: ", "channels: 1", 1))
    with pytest.raises(ConfigError, match=r"model\.field\.channels .*take another --folder, or delete that folder"):
        demo.check()


def test_a_short_one_equilibrates_briefly(tmp_path: Path) -> None:
    simulate = list(Demo(tmp_path, steps=900).commands())[1]
    assert simulate[simulate.index("--equilibration") + 1] == "300"


def test_configurations_that_come_with_it(tmp_path: Path) -> None:
    assert {"benzene", "demo", "oracle"} <= set(shipped())
    for name in shipped():
        assert summary_of(name).endswith(".")
    copy("demo", tmp_path / "new" / "demo.yaml")
    assert load(tmp_path / "new" / "demo.yaml") == load(shipped()["demo"])
    with pytest.raises(ConfigError, match="--overwrite"):
        copy("demo", tmp_path / "new" / "demo.yaml")
    copy("oracle", tmp_path / "new" / "demo.yaml", overwrite=True)
    with pytest.raises(ConfigError, match="there are benzene"):
        text_of("bezene")


def test_the_command_configs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["configs", *words])
        out, err = capsys.readouterr()
        assert ended.value.code == code, err
        return out + err

    assert all(name in printed() for name in shipped())
    assert printed("demo") == text_of("demo")
    assert "the configuration demo" in printed("demo", "--output", str(tmp_path / "mine.yaml"))
    assert "--overwrite" in printed("demo", "--output", str(tmp_path / "mine.yaml"), code=2)
    assert "NAME is needed" in printed("--output", str(tmp_path / "other.yaml"), code=2)
