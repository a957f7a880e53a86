"""Trajectory files by suffix: open, create, read and write any format that neuralmd knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from neuralmd.data.files import FileHeader, TrajectoryReader, TrajectoryWriter
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.errors import DataError
from neuralmd.system import System

SUFFIXES: Final = (".h5", ".h5md", ".npz", ".extxyz", ".xyz", ".traj")
"""The suffixes of the formats that can be read and written; .h5 is the native one."""


def open_reader(path: Path, *, timestep: float | None = None) -> TrajectoryReader:
    """Open a trajectory file for reading in blocks, whatever its format.

    Args:
        path: The file; its suffix tells the format.
        timestep: Time from frame to frame [fs], for a file that does not state it.

    Raises:
        DataError: If the file is missing, damaged or of an unknown suffix, or if no one states the time step, or the
            two that are stated disagree by more than 0.1 %.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist or is not a file: check the name")
    match path.suffix.lower():
        case ".npz":
            from neuralmd.data.npz import NpzReader

            return NpzReader(path, timestep=timestep)
        case ".extxyz" | ".xyz":
            from neuralmd.data.ase_files import XyzReader

            return XyzReader(path, timestep=timestep)
        case ".traj":
            from neuralmd.data.ase_files import AseTrajReader

            return AseTrajReader(path, timestep=timestep)
        case ".h5" | ".h5md":
            from neuralmd.data.h5md import H5mdReader

            return H5mdReader(path, timestep=timestep)
        case _:
            raise _unknown_suffix(path)


def create(
    path: Path,
    system: System,
    *,
    timestep: float,
    fields: frozenset[str],
    velocity_source: VelocitySource | None = None,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> TrajectoryWriter:
    """Start a trajectory file that is written in blocks and takes its name when it is whole.

    Args:
        path: The file; its suffix tells the format.
        system: The atoms.
        timestep: Time from frame to frame of the first segment [fs].
        fields: Which of velocities, forces and energies every block will bring.
        velocity_source: Where the velocities come from; stored if not given.
        metadata: What made the trajectory.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        DataError: If the suffix is unknown, the file exists, or it cannot be written.
    """
    header = FileHeader(system, timestep, fields, velocity_source, metadata or {})
    match path.suffix.lower():
        case ".npz":
            from neuralmd.data.npz import NpzWriter

            return NpzWriter(path, header, overwrite=overwrite)
        case ".extxyz" | ".xyz":
            from neuralmd.data.ase_files import XyzWriter

            return XyzWriter(path, header, overwrite=overwrite)
        case ".traj":
            from neuralmd.data.ase_files import AseTrajWriter

            return AseTrajWriter(path, header, overwrite=overwrite)
        case ".h5" | ".h5md":
            from neuralmd.data.h5md import H5mdWriter

            return H5mdWriter(path, header, overwrite=overwrite)
        case _:
            raise _unknown_suffix(path)


def read(path: Path, *, timestep: float | None = None) -> Trajectory:
    """All frames of a file. Arguments and errors are those of `open_reader`."""
    with open_reader(path, timestep=timestep) as reader:
        return reader.read(0, reader.frames)


def write(trajectory: Trajectory, path: Path, *, overwrite: bool = False) -> None:
    """Write a whole trajectory, segments and all, to a file. Errors are those of `create`."""
    arrays = {
        "velocities": trajectory.velocities,
        "forces": trajectory.forces,
        "energies": trajectory.energies,
    }
    if len(trajectory) == 0:
        raise DataError(f"{path} would hold no frames: the trajectory has none")
    with create(
        path,
        trajectory.system,
        timestep=trajectory.segments[0].timestep,
        fields=frozenset(name for name, array in arrays.items() if array is not None),
        velocity_source=trajectory.velocity_source,
        metadata=trajectory.metadata,
        overwrite=overwrite,
    ) as writer:
        for part in trajectory.split():
            writer.start_segment(part.segments[0].timestep)
            writer.append(part)


def _unknown_suffix(path: Path) -> DataError:
    return DataError(
        f"{path} has the suffix {path.suffix or '(none)'}, but a trajectory file ends in {', '.join(SUFFIXES)}"
    )
