"""In which settings two experiments differ, and how it is said."""

from __future__ import annotations

from pathlib import Path

from neuralmd.config.differences import differences, listed
from neuralmd.config.files import parse

TEXT = """
run: {name: demo}
data: {path: data/demo.h5, stride: 20}
model: {solver: {kind: rk4, step: 0.5}, correction: {kind: bridge, strides: [10, 20]}}
"""


def changes(*overrides: str, free: tuple[str, ...] = ()) -> list[str]:
    path = Path("demo.yaml")
    return differences(parse(TEXT, path), parse(TEXT, path, overrides), free)


def test_the_same_settings_differ_in_nothing() -> None:
    assert changes() == []
    assert changes("data.stride=20", "model.solver.step=0.5") == []


def test_each_change_says_what_was_and_what_is() -> None:
    assert changes("data.stride=10", "seed=3") == ["seed (0 -> 3)", "data.stride (20 -> 10)"]
    assert changes("data.timestep=0.5") == ["data.timestep (none -> 0.5)"]


def test_blocks_and_list_entries_that_are_gone_count_too() -> None:
    assert "model.correction.kind (bridge -> none)" in changes("model.correction=null")
    assert changes("model.correction.strides=[10]") == ["model.correction.strides.1 (20 -> none)"]


def test_what_is_free_is_left_out() -> None:
    assert changes("run.name=other", "device=cpu", "seed=1", free=("run.", "device")) == ["seed (0 -> 1)"]


def test_a_long_list_is_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
