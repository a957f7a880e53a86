"""Trajectories that MDAnalysis writes: XTC, TRR, DCD and PDB, frame by frame."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from jaxtyping import Float

from neuralmd.data.files import AtomicFile, FileHeader, TrajectoryWriter, writing
from neuralmd.data.mdanalysis import FORMATS, require, silent
from neuralmd.data.segments import SegmentLog
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import KCAL_PER_MOL

_PS: Final = 1e3
_FORCE: Final = KCAL_PER_MOL / 4.184
_XTC_DIGITS: Final = 6
"""Decimals of a nm that XTC keeps; GROMACS's own three would round a bond's vibration away."""

_FLAT: Final = 1e-6


class MdanalysisWriter(TrajectoryWriter):
    """Writes XTC, TRR, DCD or PDB through MDAnalysis. The file holds one segment, in single precision or less."""

    def __init__(self, path: Path, header: FileHeader, *, overwrite: bool) -> None:
        self._format = FORMATS[path.suffix.lower()]
        self._header = header
        require_holdable(path, header)
        package = require(path)
        self._target = AtomicFile(path, overwrite=overwrite)
        self._log = SegmentLog(header.timestep)
        self._box = box_of(header.system, f"{path}: {self._format.kind}")
        self._file: Any = None
        with silent(), writing(self, path):
            self._atoms = empty_universe(package, header).atoms
            self._file = self._open()

    def _open(self) -> Any:
        part, atoms = str(self._target.part), self._header.system.atoms
        match self._format.name:
            case "XTC":
                from MDAnalysis.coordinates.XTC import XTCWriter

                return XTCWriter(part, atoms, precision=_XTC_DIGITS)
            case "TRR":
                from MDAnalysis.coordinates.TRR import TRRWriter

                return TRRWriter(part, atoms)
            case "DCD":
                from MDAnalysis.coordinates.DCD import DCDWriter

                return DCDWriter(part, atoms, dt=cast("int", self._header.timestep / _PS), remarks="neuralmd")
            case _:
                from MDAnalysis.coordinates.PDB import PDBWriter

                return PDBWriter(part, n_atoms=atoms, multiframe=True, remarks="neuralmd")

    def append(self, block: Trajectory) -> None:
        """Write the frames of a block after those already written."""
        path = self._target.path
        self._header.check(block, path)
        times, _ = self._log.extend(block.segments, path)
        require_one_segment(self._log, path)
        stop = self._log.segments[-1].stop if len(block) else 0
        frame = self._atoms.universe.trajectory.ts
        with silent(), writing(self, path):
            for row, number in enumerate(range(stop - len(block), stop)):
                frame.frame, frame.data["time"], frame.data["step"] = number, times[row] / _PS, number
                frame.positions = block.positions[row]
                frame.dimensions = self._box
                if block.velocities is not None and "velocities" in self._header.fields:
                    frame.velocities = block.velocities[row] * _PS
                if block.forces is not None and "forces" in self._header.fields:
                    frame.forces = block.forces[row] / _FORCE
                self._file.write(self._atoms)

    def start_segment(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own; only the first segment can be written."""
        self._log.start(timestep)

    def commit(self) -> None:
        """Finish the file and give it its final name."""
        if not self._log.segments:
            self.abandon()
            raise DataError(f"{self._target.path} would hold no frames: none were written")
        with silent(), writing(self, self._target.path):
            self._file.close()
            self._require_whole()
            self._target.commit()

    def _require_whole(self) -> None:
        """Raise OSError if the file lacks frames: the C libraries do not say when a disk is full as they close it."""
        if self._format.name == "PDB":
            return
        last, found = self._log.segments[-1].stop - 1, 0
        with (
            contextlib.suppress(OSError, EOFError, StopIteration),
            _raw(self._format.name, str(self._target.part)) as file,
        ):
            file.seek(last)
            file.read()
            found = len(file)
        if found != last + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def abandon(self) -> None:
        """Close and remove what was written."""
        with contextlib.suppress(OSError, AttributeError, ValueError), silent():
            self._file.close()
        self._target.discard()


def require_holdable(path: Path, header: FileHeader) -> None:
    """Raise DataError where the format cannot hold what every block will bring."""
    form = FORMATS[path.suffix.lower()]
    if not form.written:
        raise DataError(f"{path}: {form.kind} is read, but not written: take another suffix, as .h5 or .nc")
    if lost := sorted(header.fields - form.holds):
        raise DataError(f"{path}: {form.kind} cannot hold {', '.join(lost)}: take another suffix, as .h5 or .extxyz")


def require_one_segment(log: SegmentLog, path: Path) -> None:
    """Raise DataError where a second segment begins."""
    if len(log.segments) > 1:
        raise DataError(
            f"{path}: {FORMATS[path.suffix.lower()].kind} cannot hold several segments, each with a time of its own: "
            "write .h5, .npz, .extxyz or .traj, or one segment only"
        )


def box_of(system: System, holder: str) -> Float[np.ndarray, " 6"] | None:
    """a, b, c [A] and alpha, beta, gamma [degrees] of the cell; none where there is none.

    Args:
        system: The atoms in the cell.
        holder: What is to hold it, as a message begins.

    Raises:
        DataError: If the cell is not periodic in all directions, or does not have a along x and b in the x-y plane, as
            these formats take for granted.
    """
    from ase.geometry import cell_to_cellpar

    if not system.pbc.any():
        return None
    cell = system.cell
    size = np.abs(cell).max()
    upper = np.abs(cell[np.triu_indices(3, 1)]).max()
    if not system.pbc.all() or upper > _FLAT * size or (np.diag(cell) <= _FLAT * size).any():
        raise DataError(
            f"{holder} holds a cell only if it is periodic in all directions, "
            "with a along x and b in the x-y plane: write .h5 or .extxyz"
        )
    return np.asarray(cell_to_cellpar(cell), dtype=np.float64)


def _raw(name: str, path: str) -> Any:
    """The file as MDAnalysis's library for its format reads it."""
    from MDAnalysis.lib.formats.libdcd import DCDFile
    from MDAnalysis.lib.formats.libmdaxdr import TRRFile, XTCFile

    match name:
        case "XTC":
            return XTCFile(path)
        case "TRR":
            return TRRFile(path)
        case _:
            return DCDFile(path)


def empty_universe(package: Any, header: FileHeader) -> Any:
    """A universe of the atoms, with one frame that waits for its numbers."""
    system = header.system
    universe = package.Universe.empty(
        system.atoms,
        n_residues=1,
        n_segments=1,
        atom_resindex=[0] * system.atoms,
        residue_segindex=[0],
        trajectory=True,
        velocities="velocities" in header.fields,
        forces="forces" in header.fields,
    )
    universe.add_TopologyAttr("names", system.symbols)
    universe.add_TopologyAttr("elements", system.symbols)
    universe.add_TopologyAttr("resnames", ["MOL"])
    universe.add_TopologyAttr("resids", [1])
    universe.add_TopologyAttr("segids", ["A"])
    universe.add_TopologyAttr("chainIDs", ["A"] * system.atoms)
    return universe
