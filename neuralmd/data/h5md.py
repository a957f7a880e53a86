"""H5MD, the native trajectory file: HDF5 that MDAnalysis and VMD read, streamed in both directions.

    /h5md                              version [1, 1], author, creator
    /particles/atoms/position/value    (frames, atoms, 3) [A], with step and time [fs]
                    /velocity/value    [A/fs]
                    /force/value       [kJ/mol/A], the one unit of force that MDAnalysis shares with its own
                    /box, species (atomic numbers), mass [amu]
    /observables/atoms/potential_energy/value    [eV]
    /observables/atoms/error_bar, frame_error_bar, flag    of rebuilt frames, see `h5md_trust`
    /parameters/neuralmd               metadata (JSON), velocity_source, segment_length, segment_timestep [fs]

step and time are stored for every frame, and shared by hard links: MDAnalysis 2 does not read H5MD's scalar form.

Source: de Buyl, Colberg, Hoefling, Comput. Phys. Commun. 185, 1546 (2014), doi 10.1016/j.cpc.2014.01.018.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from jaxtyping import Num

from neuralmd.data import h5md_layout as layout
from neuralmd.data import h5md_trust
from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import (
    FIELDS,
    AtomicFile,
    FileHeader,
    TrajectoryReader,
    TrajectoryWriter,
    check_finite,
    check_range,
    reading,
    writing,
)
from neuralmd.data.h5md_units import factor
from neuralmd.data.probe import require_survivor
from neuralmd.data.segments import SegmentLog, settle
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.trust import Trust
from neuralmd.errors import DataError

_KIND: Final = "H5MD"
_FORCE: Final = factor(layout.ELEMENTS["forces"][2], "force")


class H5mdReader(TrajectoryReader):
    """Reads an H5MD file, neuralmd's own or another program's, block by block."""

    def __init__(self, path: Path, declared: Declared = AS_IT_IS) -> None:
        self._path = path
        with contextlib.ExitStack() as stack, reading(path, _KIND):
            require_survivor(path, _KIND, _look_into)
            self._file = stack.enter_context(h5py.File(path, "r", rdcc_nbytes=layout.CACHE))
            atoms = layout.particles(self._file)
            position = layout.group(atoms, "position")
            frames = len(layout.dataset(position, "value"))
            self.system = layout.read_system(atoms, declared.length_unit)
            stated = layout.read_segments(self._file, position)
            self.segments = settle(stated, declared.timestep, frames, path)
            self._values = self._open_values(atoms, frames, declared)
            self._image = None if "image" not in atoms else layout.dataset(layout.group(atoms, "image"), "value")
            self.unwrapped = self._image is not None
            self._trust = h5md_trust.find(self._file, frames, self.system.atoms)
            self.fields = frozenset((self._values | self._trust).keys()) & FIELDS
            self.metadata, source = layout.read_parameters(self._file)
            self.velocity_source = source if "velocities" in self.fields else None
            stack.pop_all()

    def _open_values(self, atoms: h5py.Group, frames: int, declared: Declared) -> dict[str, tuple[h5py.Dataset, float]]:
        """Each array's dataset and the factor of its unit."""
        given = {"length": declared.length_unit, "velocity": declared.velocity_unit}
        self.length_unit = declared.length_unit or self.length_unit
        self.velocity_unit = declared.velocity_unit or self.velocity_unit
        found: dict[str, tuple[h5py.Dataset, float]] = {}
        for name, (place, quantity, _) in layout.ELEMENTS.items():
            if place in atoms:
                values = layout.dataset(layout.group(atoms, place), "value")
                found[name] = values, layout.unit_of(values, quantity, given.get(quantity))
        if (energies := layout.energies(self._file, atoms)) is not None:
            found["energies"] = energies, layout.unit_of(energies, "energy")
        for name, (values, _) in found.items():
            layout.require_stored(values)
            expected = (frames,) if name == "energies" else (frames, self.system.atoms, 3)
            if values.shape != expected:
                raise DataError(f"{self._path}: {values.name} should have the shape {expected}, but has {values.shape}")
        return found

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        check_range(start, stop, self.frames, self._path)
        with reading(self._path, _KIND):
            arrays = {n: layout.read_values(v, start, stop, scale) for n, (v, scale) in self._values.items()}
            if self._image is not None:
                arrays["positions"] += np.asarray(self._image[start:stop], dtype=np.float64) @ self.system.cell
            trust = h5md_trust.read(self._trust, start, stop)
        check_finite(arrays["positions"], start, self._path)
        return replace(self.whole(arrays, start, stop), trust=trust)

    def trust(self, start: int, stop: int) -> Trust | None:
        """Error bars and flags alone, which is much less to read than the frames."""
        check_range(start, stop, self.frames, self._path)
        with reading(self._path, _KIND):
            return h5md_trust.read(self._trust, start, stop)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _look_into(path: Path) -> None:
    """Visit all that reading the file begins with, and its first and last frame."""
    with h5py.File(path, "r") as file:
        for values in layout.numbers(file):
            if values.ndim and len(values):
                _ = values[0], values[-1]


class H5mdWriter(TrajectoryWriter):
    """Writes an H5MD file block by block."""

    def __init__(self, path: Path, header: FileHeader, *, overwrite: bool) -> None:
        self._target = AtomicFile(path, overwrite=overwrite)
        self._header = header
        self._log = SegmentLog(header.timestep)
        self._file: h5py.File | None = None
        with writing(self, path):
            self._file = h5py.File(self._target.part, "w", rdcc_nbytes=layout.CACHE)
            self._streams = layout.write_layout(self._file, header)
            self._streams |= h5md_trust.layout(self._file, header.system.atoms, header.fields)
            self._reserve(0)

    def append(self, block: Trajectory) -> None:
        """Write the frames of a block after those already written."""
        self._header.check(block, self._target.path)
        times, _ = self._log.extend(block.segments, self._target.path)
        stop = self._log.segments[-1].stop if len(block) else 0
        steps = np.arange(stop - len(block), stop)
        arrays = {"positions": block.positions, "step": steps, "time": times}
        if block.velocities is not None:
            arrays["velocities"] = block.velocities
        if block.forces is not None:
            arrays["forces"] = block.forces / _FORCE
        if block.energies is not None:
            arrays["energies"] = block.energies
        if block.trust is not None:
            arrays |= block.trust.arrays()
        arrays["edges"] = np.broadcast_to(self._header.system.cell, (len(block), 3, 3))
        with writing(self, self._target.path):
            self._reserve(stop)
            for name, values in self._streams.items():
                _extend(values, arrays[name])

    def _reserve(self, frames: int) -> None:
        # HDF5 cannot recover from a write that fails, and crashes the process when it is closed: so none may fail.
        self._target.reserve(layout.size(self._header, self._streams, frames))

    def start_segment(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own."""
        self._log.start(timestep)

    def commit(self) -> None:
        """Finish the file and give it its final name."""
        if self._file is None or not self._log.segments:
            self.abandon()
            raise DataError(f"{self._target.path} would hold no frames: none were written")
        with writing(self, self._target.path):
            layout.write_segments(self._file, self._log.segments)
            self._file.flush()
            used = self._file.id.get_filesize()
            self._file.close()
            os.truncate(self._target.part, used)
            self._target.commit()

    def abandon(self) -> None:
        """Close and remove what was written."""
        if self._file is not None:
            self._file.close()
        self._target.discard()


def _extend(values: h5py.Dataset, block: Num[np.ndarray, "frames ..."]) -> None:
    written = len(values)
    values.resize(written + len(block), axis=0)
    values[written:] = block
