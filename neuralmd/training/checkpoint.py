"""Files that hold a trained model or a training in progress: plain dictionaries, loaded with `weights_only=True`."""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from neuralmd.errors import CheckpointError
from neuralmd.system import System

FORMAT = 1
"""Version of the layout; raised whenever an older file can no longer be read."""


def save(content: Mapping[str, object], path: Path) -> None:
    """Write a checkpoint so that the path holds either the old one or the new one, whole, at any moment.

    Raises:
        CheckpointError: If the disk is full or cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            torch.save({"neuralmd_format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        reason = "the disk is full" if full else str(error)
        raise CheckpointError(
            f"{path}: the checkpoint could not be written ({reason}); the last one is kept"
        ) from error


def load(path: Path) -> dict[str, object]:
    """Read a checkpoint.

    Raises:
        CheckpointError: If it is missing, truncated, pickled, or of another version.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint is there; train first")
    # torch's legacy formats are bare pickles, which are not even looked at.
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not a whole checkpoint (truncated, damaged or a bare pickle); take another one")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds pickled objects, which could run code when loaded; neuralmd reads plain tensors only"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint (damaged); take another one") from error
    if not isinstance(content, dict) or "neuralmd_format" not in content:
        raise CheckpointError(f"{path}: not a checkpoint of neuralmd")
    if content["neuralmd_format"] != FORMAT:
        raise CheckpointError(
            f"{path}: has layout {content['neuralmd_format']}, but this version of neuralmd reads layout {FORMAT}; "
            "train again or take the version that wrote it"
        )
    return content


def load_weights(module: torch.nn.Module, weights: object, path: Path) -> None:
    """Put the weights of a checkpoint into a module.

    Raises:
        CheckpointError: If they are those of another module.
    """
    try:
        module.load_state_dict(weights)  # pyright: ignore[reportArgumentType]
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: its weights do not fit the model that its configuration describes") from error


def pack_system(system: System) -> dict[str, torch.Tensor]:
    """A system as tensors."""
    return {
        "atomic_numbers": torch.as_tensor(system.atomic_numbers),
        "masses": torch.as_tensor(system.masses),
        "cell": torch.as_tensor(system.cell),
        "pbc": torch.as_tensor(system.pbc),
    }


def unpack_system(packed: object, path: Path) -> System:
    """The system that `pack_system` packed.

    Raises:
        CheckpointError: If it is not a packed system.
    """
    names = ("atomic_numbers", "masses", "cell", "pbc")
    if not isinstance(packed, dict) or any(not isinstance(packed.get(name), torch.Tensor) for name in names):
        raise CheckpointError(f"{path}: says nothing of the molecule that it was trained on")
    arrays = {name: np.asarray(packed[name]) for name in names}
    return System(**arrays)


def require_same_atoms(trained: System, given: System, where: Path) -> None:
    """Raise CheckpointError unless a file holds what a model was trained on, atom by atom, and in the same cell.

    A model of a molecule without a cell takes it in a cell too, as programs write one that they simulated in a box.
    """
    if not trained.same_atoms(given):
        order = " in another order" if sorted(trained.symbols) == sorted(given.symbols) else ""
        raise CheckpointError(
            f"{where}: the model was trained on {trained.formula} ({trained.atoms} atoms), but the file holds "
            f"{given.formula} ({given.atoms} atoms){order}; take a run of this molecule"
        )
    if trained.pbc.any() and not trained.same_cell(given):
        raise CheckpointError(
            f"{where}: the model was trained {_in_cell(trained)}, but the file is {_in_cell(given)}; take a run of it"
        )


def _in_cell(system: System) -> str:
    if not system.pbc.any():
        return "without a cell"
    lengths = " x ".join(f"{length:.6g}" for length in np.linalg.norm(system.cell[system.pbc], axis=1))
    return f"in a cell of {lengths} A, periodic along {int(system.pbc.sum())} of 3 vectors"
