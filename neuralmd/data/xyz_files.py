"""XYZ files, read and written block by block: extended, plain, and the dialects of CP2K and i-PI."""

from __future__ import annotations

import contextlib
import io
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from neuralmd.data.ase_files import AseReader, AseWriter
from neuralmd.data.clocks import Clocks
from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import reading
from neuralmd.data.xyz_dialects import Dialect, clock_of, dialect_of, ipi_cell, ipi_length
from neuralmd.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms


class XyzReader(AseReader):
    """Reads XYZ of any dialect. Opening scans the file once for where each frame begins, 8 bytes a frame."""

    def __init__(self, path: Path, declared: Declared = AS_IT_IS) -> None:
        self._path, self._kind, self._declared = path, "XYZ", declared
        with contextlib.ExitStack() as stack, reading(path, self._kind):
            self._file = stack.enter_context(path.open("rb"))
            self._offsets, clocks, comment = _scan(self._file, path)
            self._dialect = dialect_of(comment)
            self._length = ipi_length(comment, path) if self._dialect is Dialect.IPI else 1.0
            self._begin(clocks.segments(path), len(self._offsets) - 1)
            stack.pop_all()

    def _images(self, start: int, stop: int) -> list[Atoms]:
        import ase.io

        if start == stop:
            return []
        self._file.seek(self._offsets[start])
        text = self._file.read(self._offsets[stop] - self._offsets[start]).decode()
        if self._dialect is Dialect.EXTENDED:
            return list(ase.io.iread(io.StringIO(text), index=":", format="extxyz"))
        images = list(ase.io.iread(io.StringIO(text), index=":", format="xyz"))
        if self._dialect is Dialect.IPI:
            for atoms, comment in zip(images, text.splitlines()[1 :: len(images[0]) + 2], strict=True):
                atoms.positions *= self._length
                atoms.set_cell(ipi_cell(comment, self._path))
                atoms.pbc = True
        return images

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class XyzWriter(AseWriter):
    """Writes extended XYZ, with ASE's eight decimals."""

    def _open(self) -> None:
        self._file = self._target.part.open("w", encoding="utf-8")

    def _write(self, images: list[Atoms]) -> None:
        from ase.io.extxyz import write_extxyz

        write_extxyz(self._file, images)

    def _close(self) -> None:
        self._file.close()


def _scan(file: BinaryIO, path: Path) -> tuple[array[int], Clocks, str]:
    """Where each frame begins, and the end of the last; what the comment lines say of time; the first of these."""
    offsets, clocks, first = array("q", [0]), Clocks(), ""
    atoms = None
    while header := file.readline().strip():
        index = len(offsets) - 1
        if not header.isdigit():
            raise DataError(f"{path}: frame {index} should begin with its number of atoms, but has {header[:40]!r}")
        count = int(header)
        atoms = count if atoms is None else atoms
        if count != atoms:
            raise DataError(
                f"{path}: the atoms change in frame {index}: it has {count}, frame 0 has {atoms}; "
                "keep one molecule, in one order, in a file"
            )
        comment = file.readline().decode()
        first = first if index else comment
        clocks.add(clock_of(comment))
        _skip_atoms(file, count, f"{path} is truncated in frame {index}: cut it before that frame")
        offsets.append(file.tell())
    if any(line.strip() for line in file):
        raise DataError(f"{path} has an empty line after frame {len(offsets) - 2}, but more text after it: remove it")
    return offsets, clocks, first


def _skip_atoms(file: BinaryIO, count: int, complaint: str) -> None:
    row = b""
    for _ in range(count):
        row = file.readline()
        if not row:
            break
    if not row.endswith(b"\n") and len(row.split()) < 4:
        raise DataError(complaint)
