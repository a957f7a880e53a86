"""Blocks of frames in a work folder, written as they are done and joined into one file at the end."""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from neuralmd.data.trajectory import Trajectory
from neuralmd.data.trust import Trust
from neuralmd.data.work_folder import WorkFolder
from neuralmd.errors import DataError


class FrameBlocks:
    """Numbered blocks of frames, each a file that appears whole. Any process may write any of them.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: WorkFolder) -> None:
        self._folder = folder

    def write(self, index: int, block: Trajectory, remark: str = "") -> None:
        """Write a block: all of it or, if the process is killed meanwhile, nothing.

        Args:
            index: Its number.
            block: Its frames.
            remark: What else is to be known of it.

        Raises:
            DataError: If it cannot be written; the blocks before it are safe.
        """
        found = {**block.per_frame(), "remark": np.array(remark)}
        found |= {} if block.trust is None else block.trust.arrays()
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **{name: a for name, a in found.items() if a is not None})
        self._folder.write(_name(index), content.getvalue())

    def read(self, index: int, like: Trajectory) -> Trajectory:
        """Read a block.

        Args:
            index: Its number.
            like: A trajectory of the same atoms, time step and source of velocities, whose frames do not count.

        Raises:
            DataError: If it is missing or damaged.
        """
        path = self._folder.path / _name(index)
        with _reading(path):
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            segment = replace(like.segments[0], start=0, length=len(arrays["positions"]))
            velocities = arrays.get("velocities")
            return Trajectory(
                like.system,
                arrays["positions"],
                (segment,),
                velocities=velocities,
                velocity_source=None if velocities is None else like.velocity_source,
                forces=arrays.get("forces"),
                energies=arrays.get("energies"),
                trust=Trust.from_arrays(arrays),
            )

    def remark(self, index: int) -> str:
        """What was written of a block beside its frames.

        Raises:
            DataError: If it is missing or damaged.
        """
        path = self._folder.path / _name(index)
        with _reading(path), path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return str(file["remark"])

    def missing(self, wanted: Iterable[int], like: Trajectory) -> Iterator[int]:
        """Those of the wanted blocks that are not there, or damaged, in order."""
        for index in wanted:
            try:
                self.read(index, like)
            except DataError:
                yield index


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is missing or damaged: the same command with --resume makes it again") from error


def _name(index: int) -> str:
    return f"block-{index:08d}.npz"
