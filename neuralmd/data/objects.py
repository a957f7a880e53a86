"""Trajectories that a program holds already: ASE's `Atoms`, MDAnalysis' `Universe`, or the name of a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from neuralmd.data import formats
from neuralmd.data.files import TrajectoryReader, check_range
from neuralmd.data.mdanalysis import silent
from neuralmd.data.segments import from_times, settle
from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource
from neuralmd.data.trust import Trust
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import KCAL_PER_MOL

if TYPE_CHECKING:
    from ase import Atoms
    from MDAnalysis import Universe

_PS = 1e3
_FORCE = KCAL_PER_MOL / 4.184
"""One kJ/(mol A), MDAnalysis' unit of force [eV/A]."""

_UNTIMED = {"MEMORY", "XYZ", "TXYZ", "PDB", "LAMMPSDUMP", "TRJ"}
"""What MDAnalysis calls arrays, and the formats whose frames it numbers 0, 1, 2, ... ps for want of a time."""

_SOURCE_ASE, _SOURCE_MDANALYSIS = Path("the list of ASE's Atoms"), Path("the Universe")
"""What messages call them."""


def trajectory(source: Any, *, timestep: float | None = None) -> Trajectory:
    """The trajectory that an object stands for; one that is a `Trajectory` already is given back as it is.

    Velocities, forces and energies come along where all frames have them. Positions in a periodic cell are unwrapped.

    Args:
        source: A `Trajectory`; a file's name; a sequence of ASE's `Atoms`, such as a list or an `ase.io.Trajectory`;
            or an MDAnalysis `Universe`, all frames of it.
        timestep: Time from frame to frame [fs], for what does not state it.

    Raises:
        DataError: If it is none of these, has no frames, states no time step, or frames differ in their atoms or cell.
    """
    if isinstance(source, Trajectory):
        return source
    if isinstance(source, str | Path):
        return formats.read(source, timestep=timestep)
    # Whoever has made one of their objects has imported them.
    if "ase" in sys.modules and (images := _images(source)) is not None:
        return _unwrapped(_of_ase(images, getattr(source, "description", None), timestep))
    if "MDAnalysis" in sys.modules and _is_universe(source):
        return _unwrapped(_of_universe(source, timestep))
    raise DataError(
        "expected a Trajectory, the name of a file, a list of ASE's Atoms or an MDAnalysis Universe, but "
        f"{type(source).__module__}.{type(source).__qualname__} came"
    )


def write(source: Any, path: Path | str, *, overwrite: bool = False) -> None:
    """Write whatever `trajectory` takes to a file; see `neuralmd.data.formats.write`."""
    formats.write(trajectory(source), path, overwrite=overwrite)


def _images(source: Any) -> list[Atoms] | None:
    """The frames, if it is a sequence of `Atoms` or a single one."""
    from ase import Atoms

    if isinstance(source, Atoms):
        return [source]
    if isinstance(source, str | bytes) or not (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        return None
    if len(source) == 0:
        raise DataError(f"{_SOURCE_ASE} is empty: a trajectory needs frames")
    return list(source) if isinstance(next(iter(source)), Atoms) else None


def _of_ase(images: list[Atoms], description: Any, timestep: float | None) -> Trajectory:
    from neuralmd.data.ase_frames import block_of, fields_of, header_of, md_timestep, system_of
    from neuralmd.data.clocks import Clocks

    clocks = Clocks()
    for atoms in images:
        clocks.add(atoms.info)
    stated = clocks.segments(_SOURCE_ASE)
    if stated is None and (step := md_timestep(description)) is not None:
        stated = (Segment(0, len(images), step),)
    system, fields = system_of(images[0]), frozenset.intersection(*map(fields_of, images))
    metadata, velocity_source = header_of(images[0])
    arrays = block_of(images, 0, system, fields, _SOURCE_ASE)
    return Trajectory(
        system,
        arrays["positions"],
        _settled(stated, timestep, len(images), _SOURCE_ASE),
        velocities=arrays.get("velocities"),
        velocity_source=velocity_source if "velocities" in fields else None,
        forces=arrays.get("forces"),
        energies=arrays.get("energies"),
        metadata=metadata,
        trust=Trust.from_arrays(arrays),
    )


def _is_universe(source: Any) -> bool:
    from MDAnalysis import Universe

    return isinstance(source, Universe)


def _of_universe(universe: Universe, timestep: float | None) -> Trajectory:
    """All frames. MDAnalysis holds A, ps and kJ/mol, whatever the file has."""
    from ase.geometry import cellpar_to_cell

    from neuralmd.data.topology import topology_of

    atoms = topology_of(cast("Any", universe.atoms), _SOURCE_MDANALYSIS).system
    rows: dict[str, list[np.ndarray]] = {"positions": [], "velocities": [], "forces": []}
    times, boxes = [], []
    with silent():
        for frame in cast("Any", universe.trajectory):
            times.append(_PS * float(frame.time))
            boxes.append(np.zeros(6) if frame.dimensions is None else np.array(frame.dimensions, dtype=np.float64))
            rows["positions"].append(np.array(frame.positions, dtype=np.float64))
            if frame.has_velocities:
                rows["velocities"].append(np.array(frame.velocities, dtype=np.float64))
            if frame.has_forces:
                rows["forces"].append(np.array(frame.forces, dtype=np.float64))
        universe.trajectory.rewind()
    if np.ptp(np.array(boxes), axis=0).max() > 0:
        raise DataError(f"{_SOURCE_MDANALYSIS}: the cell changes from frame to frame, but only a constant one is known")
    cell = np.asarray(cellpar_to_cell(boxes[0])) if (boxes[0][:3] > 0).all() else np.zeros((3, 3))
    system = System(atoms.atomic_numbers, atoms.masses, cell, np.full(3, bool(cell.any())))
    whole = {name: np.array(found) for name, found in rows.items() if len(found) == len(times)}
    stated = None if timestep is not None else from_times(np.array(times), _SOURCE_MDANALYSIS)
    if stated is not None and _is_untimed(universe, times):
        raise DataError(
            f"{_SOURCE_MDANALYSIS} numbers its frames 1 ps apart, as MDAnalysis does where there is no time: give the "
            "time step in fs, as timestep=0.5; if it is 1 ps, timestep=1000"
        )
    return Trajectory(
        system,
        whole["positions"],
        _settled(stated, timestep, len(times), _SOURCE_MDANALYSIS),
        velocities=whole["velocities"] / _PS if "velocities" in whole else None,
        velocity_source=VelocitySource.STORED if "velocities" in whole else None,
        forces=whole["forces"] * _FORCE if "forces" in whole else None,
    )


def _is_untimed(universe: Universe, times: list[float]) -> bool:
    kinds = {str(kind) for kind in np.atleast_1d(cast("Any", universe.trajectory).format)}
    return bool(kinds & _UNTIMED) and np.array_equal(times, _PS * np.arange(len(times)))


def _settled(
    stated: tuple[Segment, ...] | None, timestep: float | None, frames: int, source: Path
) -> tuple[Segment, ...]:
    if stated is None and timestep is None:
        raise DataError(f"{source} does not state its time step: give it in fs, as timestep=0.5")
    return settle(stated, timestep, frames, source)


class _InMemory(TrajectoryReader):
    """Reads from a trajectory."""

    def __init__(self, whole: Trajectory) -> None:
        self._whole = whole
        self.system, self.segments, self.velocity_source = whole.system, whole.segments, whole.velocity_source
        self.fields, self.metadata = frozenset(), dict(whole.metadata)

    def read(self, start: int, stop: int) -> Trajectory:
        check_range(start, stop, len(self._whole), Path("the trajectory"))
        return self._whole.slice(start, stop)

    def close(self) -> None:
        """Nothing is open."""


def _unwrapped(whole: Trajectory) -> Trajectory:
    if not whole.system.pbc.any():
        return whole
    from neuralmd.data.periodic import UnwrappedReader

    return UnwrappedReader(_InMemory(whole)).read(0, len(whole))
