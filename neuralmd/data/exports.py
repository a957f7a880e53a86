"""Trajectories for other programs, in memory: as ASE's `Atoms`, or as an MDAnalysis `Universe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neuralmd.data.files import FIELDS, FileHeader
from neuralmd.data.objects import trajectory
from neuralmd.data.segments import SegmentLog
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.units import KCAL_PER_MOL

if TYPE_CHECKING:
    from ase import Atoms
    from MDAnalysis import Universe

_PS: Final = 1e3
_FORCE: Final = KCAL_PER_MOL / 4.184
"""One kJ/(mol A), MDAnalysis' unit of force [eV/A]."""

_LIST, _UNIVERSE = Path("the list of ASE's Atoms"), "MDAnalysis' Universe"
"""What messages call them."""


def to_ase(source: Any) -> list[Atoms]:
    """A trajectory as ASE's `Atoms`, one for each frame, in double precision and with all that the trajectory has.

    Velocities are there as momenta, which `Atoms.get_velocities` turns into ASE's units, 0.098 A/fs; forces and
    energies as the results of a calculator; times in `info["time_fs"]`; error bars in `arrays["error_bar_A"]`, and
    flags in `info["flag"]`. `neuralmd.data.objects.trajectory` makes the same trajectory of the list.

    Args:
        source: Whatever `neuralmd.data.objects.trajectory` takes.

    Raises:
        DataError: If it is no trajectory.
    """
    from neuralmd.data.ase_frames import images_of

    whole = trajectory(source)
    header, log = _header_of(whole), SegmentLog(whole.segments[0].timestep)
    clock = log.extend(whole.segments, _LIST)
    return list(images_of(whole, header, log.segments, clock, first=True))


def to_mdanalysis(source: Any) -> Universe:
    """A trajectory as an MDAnalysis `Universe` in memory, with velocities and forces where there are any.

    MDAnalysis holds A, ps, A/ps and kJ/(mol A), in single precision. Error bars, flags and energies have no
    place in it.

    Args:
        source: Whatever `neuralmd.data.objects.trajectory` takes.

    Raises:
        DataError: If it is no trajectory, MDAnalysis is missing, there are several segments, or the cell is one that
            MDAnalysis cannot hold.
    """
    from neuralmd.data.mdanalysis import require, silent
    from neuralmd.data.mdanalysis_writer import box_of, empty_universe

    whole = trajectory(source)
    if len(whole.segments) > 1:
        raise DataError(
            f"{_UNIVERSE} has one time step, but the trajectory has {len(whole.segments)} segments, each with a time "
            "of its own: choose one, as trajectory.select((0,))"
        )
    package = require(Path("MDAnalysis.Universe"))
    with silent():
        universe = empty_universe(package, _header_of(whole))
        universe.add_TopologyAttr("masses", whole.system.masses)
        universe.load_new(
            np.array(whole.positions),
            order="fac",
            dimensions=box_of(whole.system, _UNIVERSE),
            dt=whole.timestep / _PS,
            velocities=None if whole.velocities is None else whole.velocities * _PS,
            forces=None if whole.forces is None else whole.forces / _FORCE,
        )
    return universe


def _header_of(whole: Trajectory) -> FileHeader:
    trust = {} if whole.trust is None else whole.trust.arrays()
    there = {name for name, array in {**whole.per_frame(), **trust}.items() if array is not None}
    timestep = whole.segments[0].timestep
    return FileHeader(whole.system, timestep, FIELDS & there, whole.velocity_source, whole.metadata)
