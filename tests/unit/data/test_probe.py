"""The first look at a file in a process of its own."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from neuralmd.data import probe
from neuralmd.errors import DataError


def test_a_look_that_ends_is_taken_once(tmp_path):
    path = tmp_path / "x"
    path.write_text("1")

    def look(place):
        place.with_name(f"seen by {os.getpid()}").touch()

    for _ in range(3):
        probe.require_survivor(path, "anything", look)
    assert len(list(tmp_path.glob("seen*"))) == 1
    assert not (tmp_path / f"seen by {os.getpid()}").exists()
    path.write_text("changed")
    probe.require_survivor(path, "anything", look)
    assert len(list(tmp_path.glob("seen*"))) == 2


def test_what_the_look_raises_is_left_to_the_caller(tmp_path):
    (tmp_path / "x").touch()

    def look(place):
        raise ValueError

    probe.require_survivor(tmp_path / "x", "anything", look)


def spin(place):
    while True:
        pass


def crash(place):
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize("look", [spin, crash])
def test_a_look_that_hangs_or_crashes(tmp_path, monkeypatch, look):
    monkeypatch.setattr(probe, "_SECONDS", 1)
    (tmp_path / "x").touch()
    for _ in range(2):
        with pytest.raises(DataError, match="x cannot be read as anything: the library that reads it hangs or crashes"):
            probe.require_survivor(tmp_path / "x", "anything", look)


def test_a_look_has_little_memory(tmp_path):
    (tmp_path / "x").touch()

    def look(place):
        np.ones(2**30)
        place.with_name("too much").touch()

    probe.require_survivor(tmp_path / "x", "anything", look)
    assert not (tmp_path / "too much").exists()
