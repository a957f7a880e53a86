"""Trajectory files by suffix: open, create, read and write any format that neuralmd knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import FIELDS, FileHeader, TrajectoryReader, TrajectoryWriter
from neuralmd.data.mdanalysis import FORMATS
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.data.trust import TRUST_FIELDS
from neuralmd.errors import DataError, NoTimestepError
from neuralmd.system import System

SUFFIXES: Final = (".h5", ".h5md", ".npz", ".extxyz", ".xyz", ".traj")
"""The suffixes of the formats that hold all that a trajectory has; .h5 is the native one."""

WRITTEN: Final = (*SUFFIXES, *(suffix for suffix, form in FORMATS.items() if form.written))
"""The suffixes of all formats that can be written."""

READ: Final = (*SUFFIXES, *FORMATS)
"""The suffixes of all formats that can be read; XDATCAR and vasprun.xml, known by their names, come on top."""


def open_reader(path: Path, *, timestep: float | None = None, declared: Declared = AS_IT_IS) -> TrajectoryReader:
    """Open a trajectory file for reading in blocks, whatever its format. Positions come unwrapped.

    Args:
        path: The file; its suffix, or its name for VASP's files, tells the format.
        timestep: Time from frame to frame [fs], for a file that does not state it; the same as `declared.timestep`.
        declared: What the user says about the file.

    Raises:
        DataError: If the file is missing, damaged or of an unknown suffix; if no one states the time step or the atoms;
            or if what is stated twice disagrees.
    """
    how = declared if timestep is None else replace(declared, timestep=timestep)
    if not path.is_file():
        raise DataError(f"{path} does not exist or is not a file: check the name")
    reader = _open(path, how)
    try:
        return _interpreted(reader, how, path)
    except BaseException:
        reader.close()
        raise


def states_timestep(path: Path, declared: Declared = AS_IT_IS) -> bool:
    """Whether a file states its time step itself. Arguments and errors are those of `open_reader`."""
    try:
        open_reader(path, declared=replace(declared, timestep=None)).close()
    except NoTimestepError:
        return False
    return True


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
        fields: Which of `neuralmd.data.files.FIELDS` every block will bring; the format must hold them.
        velocity_source: Where the velocities come from; stored if not given.
        metadata: What made the trajectory.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        DataError: If the suffix is unknown, the format cannot hold a field, the file exists, or it cannot be written.
    """
    header = FileHeader(system, timestep, fields, velocity_source, metadata or {})
    match path.suffix.lower():
        case ".npz":
            from neuralmd.data.npz import NpzWriter

            return NpzWriter(path, header, overwrite=overwrite)
        case ".extxyz" | ".xyz":
            from neuralmd.data.xyz_files import XyzWriter

            return XyzWriter(path, header, overwrite=overwrite)
        case ".traj":
            from neuralmd.data.ase_files import AseTrajWriter

            return AseTrajWriter(path, header, overwrite=overwrite)
        case ".h5" | ".h5md":
            from neuralmd.data.h5md import H5mdWriter

            return H5mdWriter(path, header, overwrite=overwrite)
        case ".nc" | ".ncdf":
            from neuralmd.data.netcdf import NetcdfWriter

            return NetcdfWriter(path, header, overwrite=overwrite)
        case suffix if suffix in FORMATS:
            from neuralmd.data.mdanalysis_writer import MdanalysisWriter

            return MdanalysisWriter(path, header, overwrite=overwrite)
        case _:
            raise _unknown_suffix(path, WRITTEN)


def holds(path: Path) -> frozenset[str]:
    """Which of velocities, forces, energies, error bars and flags a file of that suffix can hold."""
    form = FORMATS.get(path.suffix.lower())
    if form is not None:
        return form.holds
    return FIELDS - TRUST_FIELDS if path.suffix.lower() == ".traj" else FIELDS


def read(path: Path | str, *, timestep: float | None = None, declared: Declared = AS_IT_IS) -> Trajectory:
    """All frames of a file. Arguments and errors are those of `open_reader`."""
    with open_reader(Path(path), timestep=timestep, declared=declared) as reader:
        return reader.read(0, reader.frames)


def write(trajectory: Trajectory, path: Path | str, *, overwrite: bool = False) -> None:
    """Write a whole trajectory, segments and all, to a file. Errors are those of `create`.

    Whatever the format cannot hold, as `holds` tells, is left out.
    """
    path = Path(path)
    arrays = {
        "velocities": trajectory.velocities,
        "forces": trajectory.forces,
        "energies": trajectory.energies,
        **({} if trajectory.trust is None else trajectory.trust.arrays()),
    }
    if len(trajectory) == 0:
        raise DataError(f"{path} would hold no frames: the trajectory has none")
    with create(
        path,
        trajectory.system,
        timestep=trajectory.segments[0].timestep,
        fields=frozenset(name for name, array in arrays.items() if array is not None) & holds(path),
        velocity_source=trajectory.velocity_source,
        metadata=trajectory.metadata,
        overwrite=overwrite,
    ) as writer:
        for part in trajectory.split():
            writer.start_segment(part.segments[0].timestep)
            writer.append(part)


def _open(path: Path, how: Declared) -> TrajectoryReader:
    suffix = path.suffix.lower()
    if path.name.upper().startswith("XDATCAR") or suffix == ".xml":
        from neuralmd.data.vasp import VasprunReader, XdatcarReader

        return VasprunReader(path, how) if suffix == ".xml" else XdatcarReader(path, how)
    if suffix in FORMATS:
        from neuralmd.data.mdanalysis_reader import MdanalysisReader

        return MdanalysisReader(path, how)
    match suffix:
        case ".npz":
            from neuralmd.data.npz import NpzReader

            return NpzReader(path, how)
        case ".extxyz" | ".xyz":
            from neuralmd.data.xyz_files import XyzReader

            return XyzReader(path, how)
        case ".traj":
            from neuralmd.data.ase_files import AseTrajReader

            return AseTrajReader(path, how)
        case ".h5" | ".h5md":
            from neuralmd.data.h5md import H5mdReader

            return H5mdReader(path, how)
        case _:
            raise _unknown_suffix(path, READ)


def _interpreted(reader: TrajectoryReader, how: Declared, path: Path) -> TrajectoryReader:
    """The reader with units, cell and images as the user says."""
    if how.topology is not None and path.suffix.lower() not in FORMATS:
        from neuralmd.data.topology import read_topology

        if not read_topology(how.topology).system.same_atoms(reader.system):
            raise DataError(f"{path} holds {reader.system.formula}, but the topology {how.topology} has other atoms")
    if (how.length_unit or reader.length_unit, how.velocity_unit or reader.velocity_unit) != (
        reader.length_unit,
        reader.velocity_unit,
    ):
        from neuralmd.data.rescaled import RescaledReader

        reader = RescaledReader(reader, how.length_unit, how.velocity_unit)
    if reader.system.pbc.any():
        from neuralmd.data.periodic import FreeReader, UnwrappedReader

        reader = reader if reader.unwrapped else UnwrappedReader(reader)
        return FreeReader(reader) if how.drop_cell else reader
    return reader


def _unknown_suffix(path: Path, known: tuple[str, ...]) -> DataError:
    return DataError(
        f"{path} has the suffix {path.suffix or '(none)'}, but a trajectory file ends in {', '.join(known)}"
    )
