"""AMBER's NetCDF trajectories, written frame by frame: a NetCDF-3 header, then one record for each frame.

    time            (frame)            [ps]
    coordinates     (frame, atom, 3)   [A], single precision
    velocities      (frame, atom, 3)   [A/ps]
    forces          (frame, atom, 3)   [kcal/mol/A]
    cell_lengths    (frame, 3)         [A]
    cell_angles     (frame, 3)         [degrees]

The header is scipy's. Its writer keeps all frames in memory, so records are appended here, and the header's count of
records is put right at the end.

Source: AMBER NetCDF Trajectory/Restart Convention, version 1.0, revision C.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from neuralmd import __version__
from neuralmd.data.files import AtomicFile, FileHeader, TrajectoryWriter, writing
from neuralmd.data.mdanalysis_writer import box_of, require_holdable, require_one_segment
from neuralmd.data.segments import SegmentLog
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.units import KCAL_PER_MOL

_PS: Final = 1e3
_COUNT_AT: Final = 4
"""Where the number of records stands in a NetCDF-3 file."""

_UNITS: Final = {
    "coordinates": "angstrom",
    "velocities": "angstrom/picosecond",
    "forces": "kilocalorie/mole/angstrom",
}


class NetcdfWriter(TrajectoryWriter):
    """Writes AMBER NetCDF. The file holds one segment, in single precision."""

    def __init__(self, path: Path, header: FileHeader, *, overwrite: bool) -> None:
        require_holdable(path, header)
        self._target = AtomicFile(path, overwrite=overwrite)
        self._header = header
        self._log = SegmentLog(header.timestep)
        self._box = box_of(header.system, f"{path}: AMBER NetCDF")
        arrays = ["coordinates", *sorted(header.fields)]
        shape = (header.system.atoms, 3)
        self._record = np.dtype(
            [("time", ">f4")]
            + [(name, ">f4", shape) for name in arrays]
            + ([] if self._box is None else [("cell_lengths", ">f8", 3), ("cell_angles", ">f8", 3)])
        )
        self._file: BinaryIO | None = None
        with writing(self, path):
            _write_header(self._target.part, arrays, header, periodic=self._box is not None)
            self._file = self._target.part.open("r+b")
            # scipy leaves the sizes of variables without a record open, so it has written one, to be replaced.
            self._file.seek(-self._record.itemsize, os.SEEK_END)
            self._file.truncate()

    def append(self, block: Trajectory) -> None:
        """Write the frames of a block after those already written."""
        path = self._target.path
        self._header.check(block, path)
        times, _ = self._log.extend(block.segments, path)
        require_one_segment(self._log, path)
        records = np.zeros(len(block), dtype=self._record)
        records["time"], records["coordinates"] = times / _PS, block.positions
        if "velocities" in self._header.fields and block.velocities is not None:
            records["velocities"] = block.velocities * _PS
        if "forces" in self._header.fields and block.forces is not None:
            records["forces"] = block.forces / KCAL_PER_MOL
        if self._box is not None:
            records["cell_lengths"], records["cell_angles"] = self._box[:3], self._box[3:]
        with writing(self, path):
            if self._file is not None:
                self._file.write(records.tobytes())

    def start_segment(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own; only the first segment can be written."""
        self._log.start(timestep)

    def commit(self) -> None:
        """Finish the file and give it its final name."""
        if self._file is None or not self._log.segments:
            self.abandon()
            raise DataError(f"{self._target.path} would hold no frames: none were written")
        with writing(self, self._target.path):
            self._file.seek(_COUNT_AT)
            self._file.write(struct.pack(">i", self._log.segments[-1].stop))
            self._file.close()
            self._target.commit()

    def abandon(self) -> None:
        """Close and remove what was written."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._target.discard()


def _write_header(part: Path, arrays: list[str], header: FileHeader, *, periodic: bool) -> None:
    """A file with all variables and one frame of zeros."""
    from scipy.io import netcdf_file

    with netcdf_file(str(part), "w", version=2) as file:
        for name, value in (
            ("Conventions", "AMBER"),
            ("ConventionVersion", "1.0"),
            ("program", "neuralmd"),
            ("programVersion", __version__),
            ("title", header.system.formula),
        ):
            setattr(file, name, value)
        for name, length in (("frame", None), ("spatial", 3), ("atom", header.system.atoms)):
            file.createDimension(name, length)
        file.createVariable("spatial", "S1", ("spatial",))[:] = [b"x", b"y", b"z"]
        if periodic:
            file.createDimension("cell_spatial", 3)
            file.createDimension("cell_angular", 3)
            file.createDimension("label", 5)
            file.createVariable("cell_spatial", "S1", ("cell_spatial",))[:] = [b"a", b"b", b"c"]
            labels = [list(word) for word in ("alpha", "beta ", "gamma")]
            file.createVariable("cell_angular", "S1", ("cell_angular", "label"))[:] = np.array(labels, dtype="S1")
        variables: list[tuple[str, str, tuple[str, ...], str]] = [("time", "f4", ("frame",), "picosecond")]
        variables += [(name, "f4", ("frame", "atom", "spatial"), _UNITS[name]) for name in arrays]
        if periodic:
            variables.append(("cell_lengths", "f8", ("frame", "cell_spatial"), "angstrom"))
            variables.append(("cell_angles", "f8", ("frame", "cell_angular"), "degree"))
        for name, kind, dimensions, unit in variables:
            variable = file.createVariable(name, kind, dimensions)
            variable.units = unit
            variable[0] = 0.0
