"""Trajectories that MDAnalysis reads (XTC, TRR, DCD, AMBER NetCDF, PDB, ...), frame by frame."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import TrajectoryReader, check_finite, check_range, reading
from neuralmd.data.mdanalysis import FORMATS, require, silent
from neuralmd.data.mdanalysis_headers import check_header, pdb_cell
from neuralmd.data.probe import require_survivor
from neuralmd.data.segments import from_times, settle
from neuralmd.data.topology import Topology, read_topology, topology_of
from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import KCAL_PER_MOL

if TYPE_CHECKING:
    from MDAnalysis.coordinates.timestep import Timestep

_PS: Final = 1e3
_FORCE: Final = KCAL_PER_MOL / 4.184
_CELL_TOLERANCE: Final = 1e-4
_TIME_DIGITS: Final = 5
_LATE: Final = 0.1
"""Part of a time step by which a frame may be off its time, as single precision leaves it."""


class MdanalysisReader(TrajectoryReader):
    """Reads a trajectory through MDAnalysis. Its numbers have single precision.

    Args:
        path: The file; its suffix tells the format.
        declared: Time step and topology, where the format lacks them.
    """

    velocity_source = None
    _clock: tuple[float, float] | None = None

    def __init__(self, path: Path, declared: Declared = AS_IT_IS) -> None:
        self._path, self._format = path, FORMATS[path.suffix.lower()]
        self._kind = self._format.kind
        self.length_unit, self.velocity_unit = self._format.length_unit, self._format.velocity_unit
        self.metadata = {}
        package = require(path)
        with contextlib.ExitStack() as stack, silent(), reading(path, self._kind):
            topology = self._topology(declared)
            if topology is not None:
                check_header(path, topology.system.atoms)
            # MDAnalysis leaves index files beside some trajectories: here beside a link in a folder of its own.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neuralmd-")))
            self._link = folder / path.name
            self._link.symlink_to(path.resolve())
            require_survivor(path, self._kind, lambda _: self._look(package, topology, declared))
            self._own_cell = pdb_cell(path) if self._format.name == "PDB" else None
            self._frames = stack.enter_context(contextlib.closing(self._open(package, topology, declared)))
            topology = topology or topology_of(self._universe.atoms, path)
            self.notes = topology.notes
            self._begin(topology, declared)
            self._stack = stack.pop_all()

    def _topology(self, declared: Declared) -> Topology | None:
        """The topology that was given; none for a file that holds its own atoms."""
        if declared.topology is not None:
            return read_topology(declared.topology)
        if self._format.name == "PDB":
            return None
        raise DataError(
            f"{self._path}: {self._kind} holds coordinates without elements: name a file that has them (PDB, GRO, PSF, "
            "PRMTOP, ...) with --topology (data.topology)"
        )

    def _open(self, package: Any, topology: Topology | None, declared: Declared) -> Any:
        """The frames, as MDAnalysis reads them."""
        source = declared.topology
        if topology is None or source is None:
            self._universe = package.Universe(str(self._link), to_guess=(), format="PDB", topology_format="PDB")
        else:
            self._universe = package.Universe.empty(topology.system.atoms)
            self._universe.load_new(str(self._link), format=self._format.name)
        return self._universe.trajectory

    def _look(self, package: Any, topology: Topology | None, declared: Declared) -> None:
        frames = self._open(package, topology, declared)
        _ = frames[len(frames) - 1], frames[0]

    def _begin(self, topology: Topology, declared: Declared) -> None:
        first = self._frames[0]
        given = topology.system
        if first.n_atoms != given.atoms:
            raise DataError(
                f"{self._path} has {first.n_atoms} atoms, but the topology {declared.topology} has {given.atoms}: "
                "give the topology of the same atoms, in the same order"
            )
        cell = self._cell(first)
        self.system = System(given.atomic_numbers, given.masses, cell, np.full(3, bool(cell.any())))
        found = {"velocities": first.has_velocities, "forces": first.has_forces}
        self.fields = frozenset(name for name, there in found.items() if there)
        self.velocity_source = VelocitySource.STORED if "velocities" in self.fields else None
        frames = len(self._frames)
        stated = self._stated_segments(frames) if self._format.states_time else None
        if stated is None and declared.timestep is None:
            stated = self._header_segments(frames)
        self.segments = settle(stated, declared.timestep, frames, self._path)

    def _header_segments(self, frames: int) -> tuple[Segment, ...] | None:
        """One segment with the time step of DCD's header, of which a note warns."""
        step = _PS * float(self._frames.dt) if self._format.name == "DCD" else 0.0
        if not (np.isfinite(step) and 1e-4 < step < 1e7):
            return None
        step = float(f"{step:.{_TIME_DIGITS}g}")
        told = f"the time step of {step:g} fs is the DCD header's, which many programs leave wrong: check it, or give"
        self.notes = (*self.notes, f"{told} --timestep (data.timestep)")
        return (Segment(0, frames, step),)

    def _stated_segments(self, frames: int) -> tuple[Segment, ...] | None:
        """One segment if the first frames, one in the middle and the last agree; else all times are read."""
        if frames < 2:
            return None
        looked_at = sorted({0, 1, frames // 2, frames - 1})
        times = {index: self._time(index) for index in looked_at}
        step = (times[frames - 1] - times[0]) / (frames - 1)
        if step > 0 and all(self._punctual(time, times[0] + step * index, step) for index, time in times.items()):
            self._clock = times[0], step
            return (Segment(0, frames, float(f"{step:.{_TIME_DIGITS}g}")),)
        every = np.array([self._time(i) for i in range(frames)], dtype=np.float32)
        return from_times(every, self._path)

    @staticmethod
    def _punctual(time: float, expected: float, step: float) -> bool:
        return abs(time - expected) <= _LATE * step + 4.0 * float(np.finfo(np.float32).eps) * abs(expected)

    def _time(self, index: int) -> float:
        return _PS * float(self._frames[index].time)

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        check_range(start, stop, self.frames, self._path)
        shape = (stop - start, self.system.atoms, 3)
        arrays = {name: np.empty(shape) for name in ("positions", *self.fields)}
        with silent(), reading(self._path, self._kind):
            for row, index in enumerate(range(start, stop)):
                self._take(self._frames[index], index, row, arrays)
        check_finite(arrays["positions"], start, self._path)
        return self.whole(arrays, start, stop)

    def _take(self, frame: Timestep, index: int, row: int, arrays: dict[str, np.ndarray]) -> None:
        """Copy a frame into its row of the arrays, in the package's units."""
        there = {"positions": frame.has_positions, "velocities": frame.has_velocities, "forces": frame.has_forces}
        if missing := sorted(name for name in arrays if not there[name]):
            raise DataError(f"{self._path}: frame {index} lacks {', '.join(missing)}, which frame 0 has")
        if self._clock is not None:
            expected, time = self._clock[0] + index * self._clock[1], _PS * float(frame.time)
            if not self._punctual(time, expected, self._clock[1]):
                raise DataError(
                    f"{self._path} is not uniform in time: frame {index} is at {time:g} fs, where {expected:g} fs was "
                    "due; write it at a constant interval"
                )
        cell = self._cell(frame)
        if np.abs(cell - self.system.cell).max() > _CELL_TOLERANCE * max(1.0, np.abs(self.system.cell).max()):
            raise DataError(
                f"{self._path}: the cell changes in frame {index}, but only a constant cell is supported: simulate at "
                "constant volume, or read a molecule in a big box with --drop-cell"
            )
        arrays["positions"][row] = frame.positions
        if "velocities" in arrays:
            arrays["velocities"][row] = np.asarray(frame.velocities, dtype=np.float64) / _PS
        if "forces" in arrays:
            arrays["forces"][row] = np.asarray(frame.forces, dtype=np.float64) * _FORCE

    def _cell(self, frame: Timestep) -> Float[np.ndarray, "3 3"]:
        """The cell vectors of a frame as rows [A]; zero where there is no cell."""
        from ase.geometry import cellpar_to_cell

        if self._own_cell is not None:
            return self._own_cell
        if frame.dimensions is None or not np.all(frame.dimensions[:3] > 0):
            return np.zeros((3, 3))
        return np.asarray(cellpar_to_cell(np.asarray(frame.dimensions, dtype=np.float64)), dtype=np.float64)

    def close(self) -> None:
        """Close the file."""
        with silent():
            self._stack.close()
