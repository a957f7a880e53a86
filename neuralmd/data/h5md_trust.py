"""Error bars and flags of rebuilt frames as observables of an H5MD file, in single precision.

    /observables/atoms/error_bar/value          (frames, atoms) [A]
    /observables/atoms/frame_error_bar/value    (frames,) [A]
    /observables/atoms/flag/value               (frames,), whose attribute `meaning` tells what they say

Source: as in `neuralmd.data.h5md`; observables may have any shape beyond their first dimension.
"""

from __future__ import annotations

from typing import Final

import h5py
import numpy as np

from neuralmd.data.h5md_layout import group
from neuralmd.data.trust import MEANINGS, Trust
from neuralmd.errors import DataError

PLACES: Final = {
    "error_bars": ("observables/atoms/error_bar", np.float32),
    "frame_error_bars": ("observables/atoms/frame_error_bar", np.float32),
    "flags": ("observables/atoms/flag", np.uint8),
}
"""Array -> (its group, how it is stored)."""

_CHUNK_BYTES: Final = 2**18
_SCALAR_CHUNK: Final = 4096


def layout(file: h5py.File, atoms: int, fields: frozenset[str]) -> dict[str, h5py.Dataset]:
    """The empty datasets of the fields among them."""
    wanted = [name for name in PLACES if name in fields or (name == "frame_error_bars" and "error_bars" in fields)]
    streams = {}
    for name in wanted:
        place, kind = PLACES[name]
        shape = (atoms,) if name == "error_bars" else ()
        chunk = max(1, _CHUNK_BYTES // (4 * atoms)) if shape else _SCALAR_CHUNK
        clock = group(file, "particles/atoms/position")
        element = file.create_group(place)
        values = element.create_dataset("value", (0, *shape), kind, maxshape=(None, *shape), chunks=(chunk, *shape))
        if name == "flags":
            values.attrs["meaning"] = MEANINGS
        else:
            values.attrs["unit"] = "Angstrom"
        for shared in ("step", "time"):
            element[shared] = clock[shared]
        streams[name] = values
    return streams


def find(file: h5py.File, frames: int, atoms: int) -> dict[str, h5py.Dataset]:
    """The datasets of a file that neuralmd wrote; nothing in another program's.

    Raises:
        DataError: If one does not fit the file's frames.
    """
    found = {}
    for name, (place, _) in PLACES.items():
        values = file.get(f"{place}/value")
        if not isinstance(values, h5py.Dataset):
            continue
        if name == "flags" and "meaning" not in values.attrs:
            return {}
        expected = (frames, atoms) if name == "error_bars" else (frames,)
        if values.shape != expected:
            raise DataError(f"{file.filename}: {values.name} should have the shape {expected}, but has {values.shape}")
        found[name] = values
    return found if "flags" in found else {}


def read(datasets: dict[str, h5py.Dataset], start: int, stop: int) -> Trust | None:
    """The frames from start up to stop; none where the file says nothing."""
    return Trust.from_arrays({name: np.asarray(values[start:stop]) for name, values in datasets.items()})
