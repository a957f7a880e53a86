"""One field from several trajectories of the same atoms, and from part of one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralmd.build.dataset import dataset
from neuralmd.config import load
from neuralmd.data.formats import read, write
from neuralmd.data.trajectory import Trajectory
from neuralmd.system import System

SHORT = ("training.max_steps=40", "training.validate_every=40")


@pytest.fixture
def two(workplace: Path) -> tuple[Trajectory, Trajectory]:
    """The trajectory in two files, early.h5 and late.h5."""
    whole = read(workplace / "water.h5")
    early, late = whole.slice(0, 700), whole.slice(700, len(whole))
    write(early, workplace / "early.h5")
    write(late, workplace / "late.h5")
    return early, late


def test_the_files_train_validate_and_test_together_and_no_window_crosses_from_one_to_the_next(
    two: tuple[Trajectory, Trajectory], workplace: Path
) -> None:
    early, late = two
    data = load(workplace / "water.yaml", ["data.path=early.h5", "data.also=[late.h5]"]).data
    made = dataset(
        data.model_copy(update={"path": workplace / "early.h5", "also": (workplace / "late.h5",)}), torch.device("cpu")
    )
    assert np.array_equal(made.frames.positions, np.concatenate([early.positions, late.positions]))
    for part in (made.split.train, made.split.validation, made.split.test):
        first, second = part.ranges
        assert first.stop <= len(early) <= second.start
    few = dataset(
        data.model_copy(update={"path": workplace / "early.h5", "also": (workplace / "late.h5",), "train_frames": 500}),
        torch.device("cpu"),
    )
    assert few.split.train.frames == 500
    assert few.split.train.ranges[0] == made.split.train.ranges[0]
    assert (few.split.validation, few.split.test) == (made.split.validation, made.split.test)


def test_a_run_of_two_files_is_trained_and_tested_on_both(
    two: tuple[Trajectory, Trajectory], workplace: Path, neuralmd
) -> None:
    neuralmd("train", "water.yaml", *SHORT, "data.path=early.h5", "data.also=[late.h5]", "data.train_frames=600")
    told = neuralmd("evaluate", "runs/water", "--json", "errors.json").stdout
    assert "early.h5, late.h5 (test part)" in told
    both = json.loads((workplace / "errors.json").read_text())
    neuralmd("train", "water.yaml", *SHORT, "data.path=early.h5", "run.name=one")
    neuralmd("evaluate", "runs/one", "--json", "errors.json")
    assert both["windows"] > json.loads((workplace / "errors.json").read_text())["windows"]


def test_files_that_do_not_go_together_are_refused(
    two: tuple[Trajectory, Trajectory], workplace: Path, neuralmd
) -> None:
    _, late = two
    slow = replace(late, segments=tuple(replace(one, timestep=1.0) for one in late.segments))
    for name, other, why in (
        (
            "still.h5",
            replace(late, velocities=None, velocity_source=None),
            "has central velocities, but early.h5 has stored",
        ),
        ("slow.h5", slow, "has a frame every 1 fs, but early.h5 every 0.5 fs"),
        ("heavy.h5", replace(late, system=System.from_atomic_numbers([16, 1, 1])), "should be of the same atoms"),
    ):
        write(other, workplace / name)
        told = neuralmd("train", "water.yaml", "data.path=early.h5", f"data.also=[{name}]", code=2).stderr
        assert f"{name}: " in told
        assert why in told
    told = neuralmd("train", "water.yaml", "data.path=early.h5", "data.also=[gone.h5]", code=2).stderr
    assert "gone.h5" in told
