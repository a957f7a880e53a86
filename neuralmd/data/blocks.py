"""The folder in which a running simulation keeps its frames and states, so that a kill loses one block at most."""

from __future__ import annotations

import io
import itertools
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from neuralmd.data.work_folder import WorkFolder
from neuralmd.errors import DataError


@dataclass(frozen=True, eq=False)
class SimulationState:
    """All that the next step of a simulation depends on.

    Attributes:
        positions: x [A].
        momenta: p [sqrt(amu eV)], as ASE holds them: converting them would round.
        chain: eta and p_eta of the Nose-Hoover chain; zero in the other ensembles.
        generator: State of the generator of random numbers, as JSON.
    """

    positions: Float[np.ndarray, "atoms 3"]
    momenta: Float[np.ndarray, "atoms 3"]
    chain: Float[np.ndarray, "2 3"]
    generator: str


@dataclass(frozen=True, eq=False)
class Block:
    """The frames between two states, and the state at the end.

    Attributes:
        positions: x [A].
        velocities: v [A/fs].
        forces: F [eV/A].
        energies: Potential energy [eV].
        end: The state after the last step.
    """

    positions: Float[np.ndarray, "frames atoms 3"]
    velocities: Float[np.ndarray, "frames atoms 3"]
    forces: Float[np.ndarray, "frames atoms 3"]
    energies: Float[np.ndarray, " frames"]
    end: SimulationState

    @classmethod
    def without_frames(cls, end: SimulationState) -> Block:
        """A block that only holds a state."""
        none = np.zeros((0, *end.positions.shape))
        return cls(none, none, none, np.zeros(0), end)


class BlockFolder:
    """A folder of blocks, numbered from 0, and of what was asked for when it was begun.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = WorkFolder(path)

    @property
    def begun(self) -> bool:
        """Whether there is a request to go on with; a kill may have left the folder without one, and then empty."""
        return self._folder.begun

    def begin(self, request: Mapping[str, object]) -> None:
        """Start an empty folder for a request that JSON can hold.

        Raises:
            DataError: If it cannot be written.
        """
        self._folder.begin(request)

    def check(self, request: Mapping[str, object]) -> None:
        """Check that the folder was begun for the same request.

        Raises:
            DataError: If it was not; the message names what differs.
        """
        self._folder.check(request)

    def read(self, index: int) -> Block:
        """Read a block.

        Raises:
            DataError: If it is missing or damaged.
        """
        path = self._path(index)
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                end = SimulationState(file["x"], file["p"], file["chain"], str(file["generator"]))
                return Block(file["positions"], file["velocities"], file["forces"], file["energies"], end)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path} is missing or damaged: --resume simulates it again") from error

    def last_whole(self) -> tuple[int, Block] | None:
        """The end of the unbroken row of whole blocks from block 0 on, with its index; none if there is no block 0.

        A block behind a damaged one does not count: it is simulated again, to the same numbers.
        """
        last = None
        for index in itertools.count():
            try:
                last = index, self.read(index)
            except DataError:
                return last
        return last

    def write(self, index: int, block: Block) -> None:
        """Write a block: all of it or, if the process is killed meanwhile, nothing.

        Raises:
            DataError: If it cannot be written; the blocks before it are safe.
        """
        end = block.end
        content = io.BytesIO()
        np.savez(
            content,
            allow_pickle=False,
            positions=block.positions,
            velocities=block.velocities,
            forces=block.forces,
            energies=block.energies,
            x=end.positions,
            p=end.momenta,
            chain=end.chain,
            generator=np.array(end.generator),
        )
        self._folder.write(self._path(index).name, content.getvalue())

    def remove(self) -> None:
        """Remove the folder and all that is in it.

        Raises:
            DataError: If something of it cannot be removed: the next simulation would take old blocks for its own.
        """
        self._folder.remove()

    def _path(self, index: int) -> Path:
        return self.path / f"block-{index:06d}.npz"
