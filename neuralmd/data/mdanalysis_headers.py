"""What is read of a file before MDAnalysis is: the first bytes of binary formats, and the cell of a PDB file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.errors import DataError

_XTC_MAGIC: Final = (1995, 2023)
_TRR_MAGIC: Final = (1993,)
_NETCDF_MAGIC: Final = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF")
_DCD_HEADER: Final = 84
_CRYST1: Final = ((0, 9), (9, 18), (18, 27), (27, 34), (34, 41), (41, 48))
"""Columns of a, b, c, alpha, beta and gamma after the word CRYST1."""


def check_header(path: Path, atoms: int) -> None:
    """Check that a file begins as its format does, and that it holds so many atoms where its header says how many.

    Raises:
        DataError: If it does not.
    """
    from scipy.io import netcdf_file

    with path.open("rb") as file:
        head = file.read(128)
    if not head:
        raise DataError(f"{path} holds no frames")
    match path.suffix.lower():
        case ".xtc":
            _check_words(path, head, _XTC_MAGIC, "XTC")
            _check_atoms(path, struct.unpack(">i", head[4:8])[0], atoms)
        case ".trr":
            _check_words(path, head, _TRR_MAGIC, "TRR")
            _check_atoms(path, struct.unpack(">i", head[64:68])[0], atoms)
        case ".dcd":
            _check_dcd(path, head, atoms)
        case ".nc" | ".ncdf":
            if head[:4] not in _NETCDF_MAGIC:
                raise DataError(f"{path} does not begin as NetCDF: is it damaged, truncated or another format?")
            if head[:3] == b"CDF":
                with netcdf_file(str(path)) as file:
                    _check_atoms(path, int(file.dimensions.get("atom") or 0), atoms)
        case _:
            pass


def pdb_cell(path: Path) -> Float[np.ndarray, "3 3"]:
    """The cell of a PDB file, its vectors as rows [A]; zero where it has none, or the unit cube that stands for none.

    MDAnalysis overlooks a CRYST1 that stands before a MODEL, where most programs put it.

    Raises:
        DataError: If the cell changes.
    """
    from ase.geometry import cellpar_to_cell

    first, models = b"", 0
    with path.open("rb") as file:
        for line in file:
            models += line.startswith(b"MODEL")
            if line.startswith(b"CRYST1"):
                first = first or line[6:54]
                if line[6:54] != first:
                    raise DataError(
                        f"{path}: the cell changes in frame {models}, but only a constant cell is supported: simulate "
                        "at constant volume, or remove the CRYST1 records of a molecule that needs none"
                    )
    numbers = [float(first[start:stop]) for start, stop in _CRYST1] if first else []
    if not numbers or numbers[:3] == [1.0, 1.0, 1.0] or min(numbers[:3]) <= 0:
        return np.zeros((3, 3))
    return np.asarray(cellpar_to_cell(numbers), dtype=np.float64)


def _check_words(path: Path, head: bytes, magic: tuple[int, ...], kind: str) -> None:
    if len(head) < 84 or struct.unpack(">i", head[:4])[0] not in magic:
        raise DataError(f"{path} does not begin as {kind}: is it damaged, truncated or another format?")


def _check_dcd(path: Path, head: bytes, atoms: int) -> None:
    order = next((sign for sign in "<>" if len(head) > 8 and struct.unpack(f"{sign}i", head[:4])[0] == _DCD_HEADER), "")
    if not order or head[4:8] != b"CORD":
        raise DataError(f"{path} does not begin as DCD: is it damaged, truncated or another format?")
    with path.open("rb") as file:
        file.seek(4 + _DCD_HEADER + 4)
        words = file.read(4)
        title = struct.unpack(f"{order}i", words)[0] if len(words) == 4 else -1
        file.seek(max(0, title) + 8, 1)
        words = file.read(4)
    if len(words) < 4:
        raise DataError(f"{path} is truncated in its header")
    _check_atoms(path, struct.unpack(f"{order}i", words)[0], atoms)


def _check_atoms(path: Path, found: int, atoms: int) -> None:
    if found != atoms:
        raise DataError(
            f"{path} has {found} atoms, but the topology has {atoms}: give the topology of the same atoms, in the same "
            "order"
        )
