"""VASP's trajectories through ASE: XDATCAR, frame by frame, and vasprun.xml, which lies in memory as a whole."""

from __future__ import annotations

import contextlib
import io
import os
import re
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import numpy as np

from neuralmd.data.ase_files import AseReader
from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import reading
from neuralmd.data.trajectory import Segment
from neuralmd.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms

_FRAME: Final = b"Direct configuration="
_HEADER_LINES: Final = 7
_POTIM: Final = re.compile(rb'<i name="POTIM">\s*([-+.\deE]+)\s*</i>')
_IBRION: Final = re.compile(rb'<i type="int" name="IBRION">\s*(-?\d+)\s*</i>')
_SETTINGS: Final = 2**20
_END: Final = 64


class XdatcarReader(AseReader):
    """Reads an XDATCAR of constant cell. Opening scans the file once for where each frame begins, 8 bytes a frame."""

    def __init__(self, path: Path, declared: Declared = AS_IT_IS) -> None:
        self._path, self._kind, self._declared = path, "an XDATCAR", declared
        with contextlib.ExitStack() as stack, reading(path, self._kind):
            self._file = stack.enter_context(path.open("rb"))
            self._header, self._atoms, self._offsets = _scan(self._file, path)
            self._begin(None, len(self._offsets))
            stack.pop_all()

    def _images(self, start: int, stop: int) -> list[Atoms]:
        from ase.io.vasp import read_vasp_xdatcar

        text = [self._header]
        for index in range(start, stop):
            self._file.seek(self._offsets[index])
            text += [self._file.readline() for _ in range(self._atoms + 1)]
        if start == stop:
            return []
        # ASE's decorator turns a name into an open file, and takes an open file, too.
        lines = cast("str", io.StringIO(b"".join(text).decode()))
        return cast("list[Atoms]", read_vasp_xdatcar(lines, index=cast("int", slice(None))))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class VasprunReader(AseReader):
    """Reads the ionic steps of a vasprun.xml, with energies and forces. The time step is its POTIM, if it is MD."""

    def __init__(self, path: Path, declared: Declared = AS_IT_IS) -> None:
        import ase.io

        self._path, self._kind, self._declared = path, "a vasprun.xml", declared
        with reading(path, self._kind):
            self._all = cast("list[Atoms]", ase.io.read(path, index=":", format="vasp-xml"))
            with path.open("rb") as file:
                settings = file.read(_SETTINGS)
                file.seek(-min(_END, path.stat().st_size), os.SEEK_END)
                if b"</modeling>" not in file.read():
                    self.notes = (f"{path} breaks off: its {len(self._all)} whole frames are read",)
            step, kind = _POTIM.search(settings), _IBRION.search(settings)
            moving = step is not None and kind is not None and int(kind[1]) == 0 and declared.timestep is None
            stated = (Segment(0, len(self._all), float(step[1])),) if moving and step is not None else None
            self._begin(stated, len(self._all))

    def _images(self, start: int, stop: int) -> list[Atoms]:
        return [atoms.copy() if atoms.calc is None else atoms for atoms in self._all[start:stop]]

    def close(self) -> None:
        """Nothing is open."""


def _scan(file: BinaryIO, path: Path) -> tuple[bytes, int, array[int]]:
    """The header, the number of atoms, and where each frame begins."""
    header = [file.readline() for _ in range(_HEADER_LINES)]
    atoms = sum(int(word) for word in header[-1].split())
    size = path.stat().st_size
    if not 0 < atoms <= size:
        raise DataError(f"{path} should name its numbers of atoms in line 7, but has {header[-1][:60]!r}")
    offsets = array("q")
    at = file.tell()
    while line := file.readline():
        if line.startswith(_FRAME):
            offsets.append(at)
            for _ in range(atoms):
                row = file.readline()
                if len(row.split()) < 3:
                    raise DataError(f"{path} is truncated in frame {len(offsets) - 1}: cut it before that frame")
        elif line.strip():
            again = [line, *(file.readline() for _ in range(_HEADER_LINES - 1))]
            _require_same_cell(header, again, len(offsets), path)
        at = file.tell()
    return b"".join(header), atoms, offsets


def _require_same_cell(header: list[bytes], again: list[bytes], frame: int, path: Path) -> None:
    cells = [
        np.array([line.split() for line in lines[1:5]][1:], dtype=np.float64) * float(lines[1])
        for lines in (header, again)
    ]
    if cells[0].shape != cells[1].shape or np.abs(cells[0] - cells[1]).max() > 1e-6:
        raise DataError(
            f"{path}: the cell changes in frame {frame}, but only a constant cell is supported; simulate at constant "
            "volume"
        )
