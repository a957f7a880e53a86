"""Learning curves from what runs have logged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuralmd.errors import ConfigError
from neuralmd.report.curves import curves, metric_title, plot, table

MAE = "validation/mae_A"


def run(folder: Path, name: str, *lines: dict[str, float], torn: str = "") -> Path:
    path = folder / name / "metrics.jsonl"
    path.parent.mkdir()
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + torn)
    return path.parent


def validated(step: int, mae: float, minutes: float) -> dict[str, float]:
    return {"step": step, MAE: mae, "train/minutes": minutes}


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """A run whose correction was fitted when it had ended."""
    lines = validated(500, 4e-4, 1.0), {"step": 600, "train/loss": 0.1}, validated(1000, 3e-4, 2.0)
    return run(tmp_path, "ended", *lines, validated(1000, 1e-4, 2.5))


def test_the_value_after_the_fit_is_told_apart_from_the_training(ended: Path, tmp_path: Path) -> None:
    killed = run(tmp_path, "killed", validated(500, 5e-4, 1.5), torn='{"step": 600, "tr')
    one, other = curves([ended, killed], [MAE])
    assert [each.value for each in one.while_training] == [4e-4, 3e-4]
    assert one.fitted is not None
    assert (one.fitted.value, one.last.minutes) == (1e-4, 2.5)
    assert (other.fitted, other.last.value) == (None, 5e-4)
    assert table([one, other]).rows == [
        ["ended", "2.5", "1000", "1.000e-04"],
        ["killed", "1.5", "500", "5.000e-04"],
    ]


def test_the_figure_has_a_panel_for_each_metric(ended: Path, tmp_path: Path) -> None:
    from matplotlib.image import imread

    bare = run(tmp_path, "bare", {"step": 10, "train/loss": 2.0}, {"step": 20, "train/loss": 1.0})
    narrow, wide = tmp_path / "narrow.png", tmp_path / "figures" / "wide.png"
    plot(curves([ended, bare], ["train/loss"]), narrow)  # minutes were not logged: over steps
    plot(curves([ended], [MAE, "train/loss"], ["mine"]), wide)
    assert imread(wide).shape[1] > 1.6 * imread(narrow).shape[1]


def test_refusals_say_what_is_there(ended: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ended: has logged no train/los: it has train/loss, validation/mae_A"):
        curves([ended], ["train/los"])
    with pytest.raises(ConfigError, match=r"nothing: has logged no .*: expected the folder of a training"):
        curves([tmp_path / "nothing"], [MAE])
    with pytest.raises(ConfigError, match="names 1 runs, but there are 2"):
        curves([ended, ended], [MAE], ["one"])
    with pytest.raises(ConfigError, match="tell them apart by --labels"):
        curves([ended, ended], [MAE])


def test_units_are_told_from_names() -> None:
    assert metric_title("validation/best_mae_A") == "validation: best MAE [Å]"
    assert metric_title("validation/force_mae_eV_A") == "validation: force MAE [eV/Å]"
    assert metric_title("train/loss") == "train: loss"
