"""What stands where in an H5MD file: the parts that do not change from frame to frame, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from jaxtyping import Float

from neuralmd import __version__
from neuralmd.data.declared import LengthUnit, VelocityUnit
from neuralmd.data.files import FileHeader
from neuralmd.data.h5md_units import factor
from neuralmd.data.segments import from_lengths, from_times
from neuralmd.data.trajectory import Segment, VelocitySource
from neuralmd.errors import DataError
from neuralmd.system import System

ELEMENTS: Final = {
    "positions": ("position", "length", "Angstrom"),
    "velocities": ("velocity", "velocity", "Angstrom fs-1"),
    "forces": ("force", "force", "kJ mol-1 Angstrom-1"),
}
"""Array -> (its group, what it measures, the unit that is written)."""

CACHE: Final = 2**20
"""Bytes of chunks that HDF5 may keep of each dataset; its own choice is eight times as much."""

_PARAMETERS: Final = "parameters/neuralmd"
_CHUNK_BYTES: Final = 2**18
_CLOCK_CHUNK: Final = 4096
_OVERHEAD: Final = 2**17
_CHUNK_OVERHEAD: Final = 512
_LARGE: Final = 2**28
_MOST_COMPRESSED: Final = 100
_SAME_UNIT: Final = 1e-4
_CELLS_AT_ONCE: Final = 2**16
_CELL_TOLERANCE: Final = 1e-6


def dataset(parent: h5py.Group, name: str) -> h5py.Dataset:
    """The dataset of that name.

    Raises:
        DataError: If there is none.
    """
    found = parent.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{parent.file.filename} has no dataset {parent.name}/{name}, which H5MD puts there")
    return found


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """The group of that name.

    Raises:
        DataError: If there is none.
    """
    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        raise DataError(f"{parent.file.filename} has no group {parent.name}/{name}, which H5MD puts there")
    return found


def numbers(file: h5py.File) -> list[h5py.Dataset]:
    """All datasets of a file that hold numbers, each once."""
    found: list[h5py.Dataset] = []

    def take(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            found.append(item)

    file.visititems(take)
    return found


def unit_of(values: h5py.Dataset, quantity: str, given: LengthUnit | VelocityUnit | None = None) -> float:
    """The factor from the dataset's unit to the package's.

    Args:
        values: The dataset.
        quantity: What it measures.
        given: The unit that the user says it is in; it must not contradict the file.

    Raises:
        DataError: If the unit is not stated by anyone, not known, or stated differently.
    """
    unit, where = values.attrs.get("unit"), f"{values.file.filename}: {values.name}"
    if unit is None:
        if given is not None:
            return given.factor
        option = f" or give --{quantity}-unit (data.{quantity}_unit)" if quantity in {"length", "velocity"} else ""
        raise DataError(f"{where} does not state its unit: add the attribute 'unit'{option}")
    stated = unit.decode() if isinstance(unit, bytes) else str(unit)
    if given is not None and abs(factor(stated, quantity) / given.factor - 1.0) > _SAME_UNIT:
        raise DataError(f"{where} states the unit {stated}, but {given} was given: leave --{quantity}-unit out")
    return factor(stated, quantity)


def particles(file: h5py.File) -> h5py.Group:
    """The first group of particles that has positions."""
    for name in group(file, "particles"):
        found = group(file, f"particles/{name}")
        if "position" in found:
            return found
    raise DataError(f"{file.filename} has no /particles group with positions")


def energies(file: h5py.File, atoms: h5py.Group) -> h5py.Dataset | None:
    """The potential energy of the particles group, where the file has one in a stated unit."""
    name = str(atoms.name).rsplit("/", 1)[-1]
    for place in (f"observables/{name}/potential_energy/value", "observables/potential_energy/value"):
        found = file.get(place)
        if isinstance(found, h5py.Dataset) and "unit" in found.attrs:
            return found
    return None


def read_system(atoms: h5py.Group, length_unit: LengthUnit | None = None) -> System:
    """The atoms and the box of a particles group; `length_unit` is what the box is in where the file does not say it.

    Raises:
        DataError: If there are no atomic numbers, they change with time, or the cell does.
    """
    path = atoms.file.filename
    species = atoms.get("species")
    if not isinstance(species, h5py.Dataset) or species.ndim != 1:
        raise DataError(f"{path} has no {atoms.name}/species with one atomic number per atom: add them")
    system = System.from_atomic_numbers(np.asarray(species[()], dtype=np.int64))
    masses = system.masses
    if isinstance(stored := atoms.get("mass"), h5py.Dataset) and stored.ndim == 1:
        masses = np.asarray(stored[()], dtype=np.float64)
        if "unit" in stored.attrs:
            masses = masses * unit_of(stored, "mass")
    cell, pbc = _read_box(atoms, length_unit)
    return System(system.atomic_numbers, masses, cell, pbc)


def _read_box(atoms: h5py.Group, length_unit: LengthUnit | None) -> tuple[np.ndarray, np.ndarray]:
    box = atoms.get("box")
    if not isinstance(box, h5py.Group):
        return np.zeros((3, 3)), np.zeros(3, dtype=bool)
    boundary = [text.decode() if isinstance(text, bytes) else str(text) for text in box.attrs.get("boundary", [])]
    pbc = np.array([text == "periodic" for text in boundary] or [False] * 3)
    edges = box.get("edges")
    if edges is None:
        return np.zeros((3, 3)), pbc
    if isinstance(edges, h5py.Dataset):
        cell = np.asarray(edges[()], dtype=np.float64) * unit_of(edges, "length", length_unit)
    else:
        values = dataset(group(box, "edges"), "value")
        cell = _constant_cell(values) * unit_of(values, "length", length_unit)
    return np.diag(cell) if cell.ndim == 1 else cell, pbc


def _constant_cell(values: h5py.Dataset) -> Float[np.ndarray, "..."]:
    """The one cell of all frames, read in blocks."""
    first = np.asarray(values[0], dtype=np.float64)
    for start in range(0, len(values), _CELLS_AT_ONCE):
        block = np.asarray(values[start : start + _CELLS_AT_ONCE], dtype=np.float64)
        changed = np.abs(block - first).reshape(len(block), -1).max(axis=1) > _CELL_TOLERANCE
        if changed.any():
            raise DataError(
                f"{values.file.filename} has a cell that changes from frame 0 to {start + int(changed.argmax())}: "
                "only a constant cell is supported; simulate at constant volume"
            )
    return first


def read_segments(file: h5py.File, position: h5py.Group) -> tuple[Segment, ...] | None:
    """The segments that the file states, by neuralmd's own record or by the times; none if it has no times."""
    own = file.get(_PARAMETERS)
    if isinstance(own, h5py.Group) and "segment_length" in own:
        lengths, steps = dataset(own, "segment_length")[()], dataset(own, "segment_timestep")[()]
        return from_lengths(lengths.tolist(), steps.tolist())
    time = position.get("time")
    if not isinstance(time, h5py.Dataset) or "unit" not in time.attrs:
        return None
    times = np.asarray(time[()]) * unit_of(time, "time")
    frames = len(dataset(position, "value"))
    if times.ndim == 0:
        return (Segment(0, frames, float(times)),)
    return from_times(times.astype(np.result_type(time.dtype, np.float32), copy=False), Path(file.filename))


def read_parameters(file: h5py.File) -> tuple[dict[str, str], VelocitySource]:
    """Metadata and velocity source, as neuralmd records them; nothing and stored in another program's file."""
    own = file.get(_PARAMETERS)
    if not isinstance(own, h5py.Group):
        return {}, VelocitySource.STORED
    metadata = json.loads(str(dataset(own, "metadata").asstr()[()]))
    return metadata, VelocitySource(str(own.attrs.get("velocity_source", VelocitySource.STORED)))


def write_layout(file: h5py.File, header: FileHeader) -> dict[str, h5py.Dataset]:
    """All groups of a new file, and its empty per-frame datasets by name: the arrays, step, time, and edges."""
    file.create_group("h5md").attrs["version"] = [1, 1]
    file.create_group("h5md/author").attrs["name"] = header.metadata.get("author", "unknown")
    file.create_group("h5md/creator").attrs.update({"name": "neuralmd", "version": __version__})
    atoms = file.create_group("particles/atoms")
    atoms["species"] = header.system.atomic_numbers
    atoms["mass"] = header.system.masses
    atoms["mass"].attrs["unit"] = "u"
    own = file.create_group(_PARAMETERS)
    own["metadata"] = json.dumps(dict(header.metadata))
    if header.velocity_source is not None:
        own.attrs["velocity_source"] = str(header.velocity_source)

    clock = atoms.create_group("position")
    streams = {
        "step": clock.create_dataset("step", (0,), np.int64, maxshape=(None,), chunks=(_CLOCK_CHUNK,)),
        "time": clock.create_dataset("time", (0,), np.float64, maxshape=(None,), chunks=(_CLOCK_CHUNK,)),
    }
    streams["time"].attrs["unit"] = "fs"
    for name in ("positions", *sorted(header.fields & ELEMENTS.keys())):
        place, _, unit = ELEMENTS[name]
        streams[name] = _stream(atoms, place, (header.system.atoms, 3), unit, streams)
    if "energies" in header.fields:
        streams["energies"] = _stream(file, "observables/atoms/potential_energy", (), "eV", streams)
    box = atoms.create_group("box")
    box.attrs["dimension"] = 3
    box.attrs["boundary"] = np.array(["periodic" if p else "none" for p in header.system.pbc], dtype="S8")
    if header.system.cell.any():
        streams["edges"] = _stream(box, "edges", (3, 3), "Angstrom", streams)
    return streams


def size(header: FileHeader, streams: dict[str, h5py.Dataset], frames: int) -> int:
    """Bytes that a file of so many frames takes at most."""
    total = _OVERHEAD + 8 * len(json.dumps(dict(header.metadata))) + 32 * header.system.atoms
    for values in streams.values():
        chunk = values.chunks or (1,)
        total += -(-frames // chunk[0]) * (int(np.prod(chunk)) * values.dtype.itemsize + _CHUNK_OVERHEAD)
    return total


def write_segments(file: h5py.File, segments: Iterable[Segment]) -> None:
    """The record of the segments, once all frames are there."""
    own = group(file, _PARAMETERS)
    kept = tuple(segments)
    own["segment_length"] = np.array([s.length for s in kept], dtype=np.int64)
    own["segment_timestep"] = np.array([s.timestep for s in kept])
    own["segment_timestep"].attrs["unit"] = "fs"


def require_stored(values: h5py.Dataset) -> None:
    """Raise DataError where a dataset declares much more than the file holds: it would be read as endless zeros."""
    declared, stored = values.size * values.dtype.itemsize, values.id.get_storage_size()
    if declared > _LARGE and declared > _MOST_COMPRESSED * stored:
        raise DataError(
            f"{values.file.filename}: {values.name} declares {values.shape}, {declared} bytes, but {stored} bytes "
            "of it are in the file: is it damaged?"
        )


def read_values(values: h5py.Dataset, start: int, stop: int, scale: float) -> Float[np.ndarray, "frames ..."]:
    """A block of frames in the package's units; bit for bit where the file has those."""
    block = np.asarray(values[start:stop], dtype=np.float64)
    return block if scale == 1.0 else block * scale


def _stream(
    parent: h5py.Group, place: str, shape: tuple[int, ...], unit: str, clock: dict[str, h5py.Dataset]
) -> h5py.Dataset:
    """An empty per-frame element that shares the clock of the positions."""
    element = parent.require_group(place)
    frames = max(1, _CHUNK_BYTES // (8 * int(np.prod(shape)))) if shape else _CLOCK_CHUNK
    values = element.create_dataset("value", (0, *shape), np.float64, maxshape=(None, *shape), chunks=(frames, *shape))
    values.attrs["unit"] = unit
    for name in ("step", "time"):
        if name not in element:
            element[name] = clock[name]
    return values
