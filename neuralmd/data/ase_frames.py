"""Frames as ASE's `Atoms`, to and from blocks of a `Trajectory`; and the keys that carry time, source and settings.

| key in `Atoms.info` | what |
|---|---|
| time_fs | time of the frame [fs] |
| timestep_fs, segment | time step of the frame's segment [fs], and its index |
| velocity_source | stored or central, in the first frame |
| frame_error_bar_A, flag | error bar [A] and `Flag`s of a rebuilt frame; its atoms have a column error_bar_A |
| neuralmd_metadata | what made the trajectory, URL-encoded key=value pairs, in the first frame |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
from jaxtyping import Float, Int

from neuralmd.data.declared import VelocityUnit
from neuralmd.data.files import FileHeader, check_finite
from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource
from neuralmd.data.trust import Trust
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import ASE_TIME

if TYPE_CHECKING:
    from ase import Atoms

_CELL_TOLERANCE = 1e-6
_BAR, _FRAME_BAR, _FLAG = "error_bar_A", "frame_error_bar_A", "flag"
_VELOCITY_COLUMNS = ("velocities", "velocity", "velo", "vel")


def system_of(atoms: Atoms) -> System:
    """The part of a frame that must not change."""
    return System(
        np.asarray(atoms.numbers, dtype=np.int64),
        np.asarray(atoms.get_masses(), dtype=np.float64),
        np.array(atoms.cell.array, dtype=np.float64),
        np.array(atoms.pbc, dtype=bool),
    )


def fields_of(atoms: Atoms) -> frozenset[str]:
    """Which of velocities, forces and energies a frame holds."""
    results = {} if atoms.calc is None else atoms.calc.results
    found = {"velocities": atoms.has("momenta"), "forces": "forces" in results, "energies": "energy" in results}
    found |= {"flags": _FLAG in atoms.info, "error_bars": _FRAME_BAR in atoms.info and _BAR in atoms.arrays}
    return frozenset(name for name, there in found.items() if there)


def header_of(atoms: Atoms) -> tuple[dict[str, str], VelocitySource | None]:
    """Metadata and velocity source as the first frame states them."""
    metadata = dict(parse_qsl(str(atoms.info.get("neuralmd_metadata", "")), keep_blank_values=True))
    if "velocities" not in fields_of(atoms):
        return metadata, None
    return metadata, VelocitySource(str(atoms.info.get("velocity_source", VelocitySource.STORED)))


def md_timestep(description: Any) -> float | None:
    """Time from frame to frame [fs] as ASE's molecular dynamics describes its .traj files; none without it."""
    if isinstance(description, dict) and "md-type" in description and "timestep" in description:
        return description["timestep"] * description.get("interval", 1) * ASE_TIME
    return None


def velocities_unread(atoms: Atoms) -> str | None:
    """The column of velocities that ASE has read as a nameless array, where the frame has no momenta; else none."""
    found = [
        name for name in _VELOCITY_COLUMNS if name in atoms.arrays and np.shape(atoms.arrays[name]) == (len(atoms), 3)
    ]
    return found[0] if found and not atoms.has("momenta") else None


def take_velocities(images: Sequence[Atoms], column: str, unit: VelocityUnit, system: System) -> None:
    """Turn a column of velocities into momenta in all frames that have it."""
    for atoms in images:
        if column in atoms.arrays:
            velocities = np.asarray(atoms.arrays[column], dtype=np.float64) * unit.factor
            atoms.set_momenta(velocities * system.masses[:, None] * ASE_TIME)


def block_of(
    images: Sequence[Atoms], start: int, system: System, fields: frozenset[str], path: Path
) -> dict[str, np.ndarray]:
    """The arrays of a block of frames, in the package's units.

    Raises:
        DataError: If the atoms or the cell change, a field is missing, or a position is not finite; with the frame.
    """
    for index, atoms in enumerate(images, start):
        if not np.array_equal(atoms.numbers, system.atomic_numbers):
            raise DataError(
                f"{path}: the atoms change in frame {index}: {system.formula} was expected in the order of frame 0, "
                f"but {atoms.get_chemical_formula('hill')} came; keep one molecule, in one order, in a file"
            )
        if np.abs(atoms.cell.array - system.cell).max() > _CELL_TOLERANCE:
            raise DataError(f"{path}: the cell changes in frame {index}, but only a constant cell is supported")
    shape = (len(images), system.atoms, 3)
    arrays = {"positions": np.array([atoms.positions for atoms in images], dtype=np.float64).reshape(shape)}
    check_finite(arrays["positions"], start, path)
    for index, atoms in enumerate(images, start):
        if missing := sorted(fields - fields_of(atoms)):
            raise DataError(f"{path}: frame {index} lacks {', '.join(missing)}, which frame 0 has")
    if "velocities" in fields:
        momenta = np.array([atoms.get_momenta() for atoms in images], dtype=np.float64).reshape(shape)
        arrays["velocities"] = momenta / (system.masses[:, None] * ASE_TIME)
    # SinglePointCalculator's getters are not asked, since they refuse results of atoms that ASE thinks have moved.
    results = [atoms.calc.results for atoms in images if atoms.calc is not None]
    if "forces" in fields:
        arrays["forces"] = np.array([r["forces"] for r in results], dtype=np.float64).reshape(shape)
    if "energies" in fields:
        arrays["energies"] = np.array([r["energy"] for r in results], dtype=np.float64)
    arrays |= _trust_of(images, fields)
    return arrays


def images_of(
    block: Trajectory,
    header: FileHeader,
    segments: tuple[Segment, ...],
    clock: tuple[Float[np.ndarray, " frames"], Int[np.ndarray, " frames"]],
    *,
    first: bool,
) -> Iterator[Atoms]:
    """A block's frames for ASE, velocities as momenta, energies and forces as a calculator's results.

    Args:
        block: The frames.
        header: What the file declares.
        segments: All segments of the file so far.
        clock: Time [fs] and segment index of each frame of the block.
        first: Whether the block begins the file.
    """
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    system = header.system
    standard = np.allclose(System.from_atomic_numbers(system.atomic_numbers).masses, system.masses, rtol=0, atol=1e-12)
    for i, (time, number) in enumerate(zip(*clock, strict=True)):
        masses = None if standard else system.masses
        atoms = Atoms(system.atomic_numbers, block.positions[i], masses=masses, cell=system.cell, pbc=system.pbc)
        atoms.info = {"time_fs": float(time), "timestep_fs": segments[number].timestep, "segment": int(number)}
        if first and i == 0:
            if header.velocity_source is not None:
                atoms.info["velocity_source"] = str(header.velocity_source)
            if header.metadata:
                # ASE's parser of comment lines loses a "=" at the end, as an empty value would leave it.
                atoms.info["neuralmd_metadata"] = urlencode(dict(header.metadata)) + "&"
        if "velocities" in header.fields and block.velocities is not None:
            atoms.set_momenta(block.velocities[i] * system.masses[:, None] * ASE_TIME)
        results: dict[str, Any] = {}
        if "energies" in header.fields and block.energies is not None:
            results["energy"] = float(block.energies[i])
        if "forces" in header.fields and block.forces is not None:
            results["forces"] = block.forces[i]
        if block.trust is not None:
            _add_trust(atoms, block.trust[i : i + 1], header.fields)
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        yield atoms


def _trust_of(images: Sequence[Atoms], fields: frozenset[str]) -> dict[str, np.ndarray]:
    """What frames say of how far they are to be trusted."""
    found: dict[str, np.ndarray] = {}
    if "flags" in fields:
        found["flags"] = np.array([atoms.info[_FLAG] for atoms in images], dtype=np.int64)
    if "error_bars" in fields:
        found["error_bars"] = np.array([atoms.arrays[_BAR] for atoms in images], dtype=np.float64)
        found["frame_error_bars"] = np.array([atoms.info[_FRAME_BAR] for atoms in images], dtype=np.float64)
    return found


def _add_trust(atoms: Atoms, frame: Trust, fields: frozenset[str]) -> None:
    """Put what is known of one frame into its header and columns."""
    if "flags" in fields:
        atoms.info[_FLAG] = int(frame.flags[0])
    if "error_bars" in fields and frame.error_bars is not None and frame.frame_error_bars is not None:
        atoms.info[_FRAME_BAR] = float(frame.frame_error_bars[0])
        atoms.new_array(_BAR, frame.error_bars[0].astype(np.float64))
