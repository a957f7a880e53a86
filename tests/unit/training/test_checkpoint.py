"""Checkpoints: what is not one is refused in one line, and nothing that is there is lost."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
import torch

from neuralmd.errors import CheckpointError
from neuralmd.system import System
from neuralmd.training import checkpoint
from neuralmd.training.checkpoint import load, pack_system, require_same_atoms, save, unpack_system


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    save({"weights": torch.arange(1000.0), "step": 3}, path)
    return path


def test_what_is_saved_is_loaded(whole: Path) -> None:
    content = load(whole)
    assert torch.equal(content["weights"], torch.arange(1000.0))
    assert content["step"] == 3


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint is there; train first"):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize("keep", [0, 1, 100, 2000, -1])
def test_truncated(whole: Path, keep: int) -> None:
    whole.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        load(whole)


class Harmful:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("harm-done"),))


def test_pickled_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    torch.save({"neuralmd_format": 1, "model": Harmful()}, path)
    with pytest.raises(CheckpointError, match="could run code"):
        load(path)
    path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(CheckpointError, match="bare pickle"):
        load(path)
    assert not Path("harm-done").exists()


def test_other_versions_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"neuralmd_format": 99}, path)
    with pytest.raises(CheckpointError, match="layout 99"):
        load(path)
    torch.save({"state": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of neuralmd"):
        load(path)


def test_full_disk_leaves_the_last_checkpoint(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = whole.read_bytes()
    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(CheckpointError, match="the disk is full"):
        save({"step": 4}, whole)
    assert whole.read_bytes() == before
    assert list(whole.parent.iterdir()) == [whole]


def test_system_goes_through_and_other_molecules_are_refused(tmp_path: Path) -> None:
    water = System.from_atomic_numbers([8, 1, 1])
    again = unpack_system(pack_system(water), tmp_path)
    assert again.formula == "H2O"
    assert (again.masses == water.masses).all()
    with pytest.raises(CheckpointError, match=r"H2O \(3 atoms\) in another order"):
        require_same_atoms(water, System.from_atomic_numbers([1, 8, 1]), tmp_path)
    with pytest.raises(CheckpointError, match=r"trained on H2O .* holds CO"):
        require_same_atoms(water, System.from_atomic_numbers([6, 8]), tmp_path)
    with pytest.raises(CheckpointError, match="nothing of the molecule"):
        unpack_system({"masses": 3}, tmp_path)
