"""Scores of earlier comparisons beside new ones: only on the same windows, and each seed once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from comparisons import row

from neuralmd.compare.comparison import Comparison
from neuralmd.compare.earlier import joined, read
from neuralmd.compare.numbers import to_dict
from neuralmd.compare.tables import markdown, remarks
from neuralmd.errors import ConfigError

SPLINE = row("spline", "linear", "linear", {5: (3e-3,), 20: (2e-2,)})
NEW = Comparison(
    "data.h5 (test part)",
    {5: 800, 20: 200},
    {5: 2.5, 20: 10.0},
    "stored",
    (SPLINE, row("ours", "neural_ode", "equivariant", {5: (3e-4,), 20: (2e-4,)})),
    20,
)
OLD = replace(
    NEW,
    windows={20: 200, 40: 100},
    gaps={20: 10.0, 40: 20.0},
    rows=(
        row("spline", "linear", "linear", {20: (2e-2,), 40: (4e-2,)}),
        row("ours", "neural_ode", "equivariant", {20: (9e-4, 4e-4)}),
        row("lstm", "lstm", "lstm", {20: (2.5e-3,), 40: (5e-3,)}),
    ),
)
PATH = Path("old.json")


def test_a_file_gives_back_the_comparison_that_it_was_written_from(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps(to_dict(OLD)))
    assert read(path) == OLD


def test_new_contestants_come_in_and_seeds_that_are_missing() -> None:
    both = joined(NEW, [(PATH, OLD)])
    found = {one.label: one for one in both.rows}
    assert [one.label for one in both.rows] == ["spline", "ours", "lstm"]
    assert found["lstm"].values(20, "mae") == [2.5e-3]
    assert sorted(found["lstm"].scores) == [20]
    assert {seed: one.mae for seed, one in found["ours"].scores[20].items()} == {0: 2e-4, 1: 4e-4}
    assert found["ours"].values(5, "mae") == [3e-4]
    assert both.strides == [5, 20]
    assert remarks(both) == ["ours, lstm: scores of old.json, their times on the machine of that comparison"]
    assert markdown(both).endswith(f"- {remarks(both)[0]}\n")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(OLD, rows=(row("spline", "linear", "linear", {20: (2.1e-2,)}), *OLD.rows[1:])), "2.1000e-02 A there"),
        (replace(OLD, windows={20: 199, 40: 100}), "not of the same data"),
        (replace(OLD, gaps={20: 5.0, 40: 10.0}), "not of the same data"),
        (replace(OLD, velocity_source="central"), "has central velocities"),
        (replace(OLD, windows={40: 100}, gaps={40: 20.0}), "none of 5, 20"),
        (replace(OLD, rows=(*OLD.rows[:1], replace(OLD.rows[1], parameters=7))), "another run.name"),
    ],
)
def test_what_was_scored_on_other_data_is_refused(other: Comparison, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        joined(NEW, [(PATH, other)])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [1]}', "\0", '{"rows": {}, "windows": {"a": 1}}'])
def test_what_is_no_comparison_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"numbers\.json: expected the numbers of an earlier comparison"):
        read(path)
    with pytest.raises(ConfigError, match=r"gone\.json: cannot be read"):
        read(tmp_path / "gone.json")
