"""MDAnalysis, loaded when a file needs it and in silence: which formats it stands for, and what each of them holds.

| suffix | format | native units | time of a frame | holds besides positions |
|---|---|---|---|---|
| .xtc | GROMACS XTC | nm, ps | stated | |
| .trr | GROMACS TRR | nm, ps | stated | velocities, forces |
| .dcd | CHARMM, NAMD, OpenMM, LAMMPS | A | in the header, often wrong | |
| .nc, .ncdf | AMBER NetCDF | A, ps, kcal/mol | stated | velocities, forces |
| .pdb, .ent | PDB with a MODEL for each frame | A | | |
| .lammpstrj, .lammpsdump | LAMMPS dump | A, unless LAMMPS was told otherwise | | |
| .mdcrd, .crdbox | AMBER text, without and with box | A | | |
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from neuralmd.data.declared import LengthUnit, VelocityUnit
from neuralmd.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_TRAJECTORY_FIELDS: Final = frozenset({"velocities", "forces"})


@dataclass(frozen=True)
class Format:
    """A format that MDAnalysis reads.

    Attributes:
        name: What MDAnalysis calls it.
        kind: What a message calls it.
        holds: Which of velocities, forces and energies it can hold.
        written: Whether neuralmd writes it, too.
        states_time: Whether frames state their time; if not, a header may.
        length_unit: What its lengths are in.
        velocity_unit: What its velocities are in.
    """

    name: str
    kind: str
    holds: frozenset[str] = frozenset()
    written: bool = True
    states_time: bool = False
    length_unit: LengthUnit = LengthUnit.ANGSTROM
    velocity_unit: VelocityUnit = VelocityUnit.ANGSTROM_PER_PS


_XTC: Final = Format("XTC", "XTC", states_time=True, length_unit=LengthUnit.NANOMETRE)
_TRR: Final = Format(
    "TRR",
    "TRR",
    _TRAJECTORY_FIELDS,
    states_time=True,
    length_unit=LengthUnit.NANOMETRE,
    velocity_unit=VelocityUnit.NANOMETRE_PER_PS,
)
_NETCDF: Final = Format("NCDF", "AMBER NetCDF", _TRAJECTORY_FIELDS, states_time=True)
_DUMP: Final = Format("LAMMPSDUMP", "a LAMMPS dump", written=False)

FORMATS: Final = {
    ".xtc": _XTC,
    ".trr": _TRR,
    ".dcd": Format("DCD", "DCD"),
    ".nc": _NETCDF,
    ".ncdf": _NETCDF,
    ".pdb": Format("PDB", "PDB"),
    ".ent": Format("PDB", "PDB"),
    ".lammpstrj": _DUMP,
    ".lammpsdump": _DUMP,
    ".mdcrd": Format("MDCRD", "AMBER text", written=False),
    ".crdbox": Format("CRDBOX", "AMBER text", written=False),
}
"""The formats by suffix."""


@contextmanager
def silent() -> Iterator[None]:
    """Let MDAnalysis keep its warnings to itself: what matters of them is an error or a note of neuralmd.

    Its readers of damaged files also complain on stderr as they die half made, in the midst of an error or after it.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        _bury(error)
        raise
    finally:
        sys.unraisablehook = hook


def _bury(error: BaseException | None) -> None:
    """Let go of the readers that an error keeps alive."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def require(path: Path) -> Any:
    """The module MDAnalysis.

    Raises:
        DataError: If it is not installed.
    """
    try:
        with silent():
            import MDAnalysis
    except ImportError as error:
        raise DataError(
            f"{path.suffix} files go through MDAnalysis, which is not installed: pip install 'neuralmd[io]'"
        ) from error
    return MDAnalysis
