"""Trajectories in numpy's .npz with MD17's keys. The whole file is held in memory, for reading and for writing.

| key | what |
|---|---|
| z, R | atomic numbers, positions [A] |
| V, F, E | velocities [A/fs], forces [kcal/mol/A], energies [kcal/mol]; or E_pot [kcal/mol], or E_hartree [hartree] |
| dt_fs | time step [fs] |
| seg_start, seg_len, seg_dt_fs | several trajectories in one file |
| masses or masses_iso, cell, pbc | [amu], [A, rows] |
| flags, error_bars, frame_error_bars | of rebuilt frames: see `neuralmd.data.trust`; bars in A |
| meta, velocity_source | a JSON object of settings, stored or central |

Source: Chmiela et al., Sci. Adv. 3, e1603015 (2017), for z, R, F and E.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.download import verify
from neuralmd.data.files import (
    FIELDS,
    AtomicFile,
    FileHeader,
    TrajectoryReader,
    TrajectoryWriter,
    check_finite,
    check_range,
    reading,
    writing,
)
from neuralmd.data.segments import SegmentLog, from_lengths, settle
from neuralmd.data.trajectory import Segment, Trajectory, VelocitySource, concatenate
from neuralmd.data.trust import TRUST_FIELDS, Trust
from neuralmd.errors import DataError
from neuralmd.system import System
from neuralmd.units import HARTREE, KCAL_PER_MOL

_KIND: Final = "an .npz trajectory"
_ENERGY_KEYS: Final = {"E": KCAL_PER_MOL, "E_pot": KCAL_PER_MOL, "E_hartree": HARTREE}
_READ: Final = (
    "z",
    "R",
    "V",
    "F",
    *_ENERGY_KEYS,
    "dt_fs",
    "seg_start",
    "seg_len",
    "seg_dt_fs",
    "masses",
    "masses_iso",
    "cell",
    "pbc",
    "meta",
    "velocity_source",
    "flags",
    "error_bars",
    "frame_error_bars",
)
_MOST_COMPRESSED: Final = 100
"""Floating-point frames do not compress a hundredfold; what does, and is large, is a decompression bomb."""
_LARGE: Final = 2**28

Arrays = Mapping[str, np.ndarray]


class NpzReader(TrajectoryReader):
    """Reads an .npz file with MD17's keys; it lies in memory as a whole."""

    def __init__(self, path: Path, declared: Declared = AS_IT_IS) -> None:
        self._path = path
        verify(path)
        with reading(path, _KIND):
            arrays = _load(path)
            self._trajectory = _trajectory(arrays, declared.timestep, path)
        self.system = self._trajectory.system
        self.segments = self._trajectory.segments
        found = {
            "velocities": self._trajectory.velocities,
            "forces": self._trajectory.forces,
            "energies": self._trajectory.energies,
            **({} if self._trajectory.trust is None else self._trajectory.trust.arrays()),
        }
        self.fields = frozenset(name for name, array in found.items() if array is not None) & FIELDS
        self.velocity_source = self._trajectory.velocity_source
        self.metadata = dict(self._trajectory.metadata)

    def read(self, start: int, stop: int) -> Trajectory:
        """The frames from start up to stop."""
        check_range(start, stop, self.frames, self._path)
        block = self._trajectory.slice(start, stop)
        check_finite(block.positions, start, self._path)
        return block

    def close(self) -> None:
        """Nothing is open."""


class NpzWriter(TrajectoryWriter):
    """Writes an .npz file with MD17's keys; the frames are kept in memory until the commit."""

    def __init__(self, path: Path, header: FileHeader, *, overwrite: bool) -> None:
        self._target = AtomicFile(path, overwrite=overwrite)
        self._header = header
        self._log = SegmentLog(header.timestep)
        self._blocks: list[Trajectory] = []

    def append(self, block: Trajectory) -> None:
        """Keep the frames of a block."""
        self._header.check(block, self._target.path)
        self._log.extend(block.segments, self._target.path)
        self._blocks.append(block)

    def start_segment(self, timestep: float) -> None:
        """Let the next frame begin a segment of its own."""
        self._log.start(timestep)

    def commit(self) -> None:
        """Write the file."""
        if not self._log.segments:
            raise DataError(f"{self._target.path} would hold no frames: none were written")
        whole = replace(concatenate(self._blocks), system=self._header.system, segments=self._log.segments)
        with writing(self, self._target.path):
            with self._target.part.open("wb") as file:
                np.savez(file, allow_pickle=False, **_arrays(whole, self._header))
            self._target.commit()
        self._blocks.clear()

    def abandon(self) -> None:
        """Forget the frames and remove what was written."""
        self._blocks.clear()
        self._target.discard()


def _load(path: Path) -> dict[str, np.ndarray]:
    """The known arrays of the file, after a look at the sizes that it declares."""
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if Path(entry.filename).stem in _READ]
        size, compressed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
        if size > _LARGE and size > _MOST_COMPRESSED * max(compressed, 1):
            raise DataError(
                f"{path}: its arrays would grow from {compressed} to {size} bytes, as no trajectory does; "
                "it is not read"
            )
    with np.load(path, allow_pickle=False) as file:
        if {"old_indices", "coords"} & set(file.files):
            raise DataError(
                f"{path} is rMD17, a shuffled subsample whose frames do not follow each other in time: "
                "take the same molecule from the original MD17"
            )
        arrays = {}
        for key in _READ:
            if key in file.files:
                arrays[key] = _array(file, key, path)
        found = file.files
    if missing := [key for key in ("z", "R") if key not in arrays]:
        raise DataError(f"{path} lacks {' and '.join(missing)}: expected MD17's keys z and R, but found {found}")
    return arrays


def _array(file: np.lib.npyio.NpzFile, key: str, path: Path) -> np.ndarray:
    try:
        return file[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: {key} holds pickled Python objects, which are never loaded since they can run code: "
            "save it as a plain array of numbers"
        ) from error


def _trajectory(arrays: Arrays, timestep: float | None, path: Path) -> Trajectory:
    system = _system(arrays, path)
    positions = _frames(arrays, "R", system.atoms, path)
    frames = len(positions)
    energies = next((arrays[key].reshape(-1) * unit for key, unit in _ENERGY_KEYS.items() if key in arrays), None)
    if energies is not None and energies.shape != (frames,):
        raise DataError(f"{path} has {frames} frames, but {len(energies)} energies")
    source = None
    if "V" in arrays:
        source = VelocitySource(str(arrays.get("velocity_source", VelocitySource.STORED)))
    return Trajectory(
        system,
        positions,
        settle(_segments(arrays, frames, path), timestep, frames, path),
        velocities=_frames(arrays, "V", system.atoms, path) if "V" in arrays else None,
        velocity_source=source,
        forces=_frames(arrays, "F", system.atoms, path) * KCAL_PER_MOL if "F" in arrays else None,
        energies=None if energies is None else energies.astype(np.float64),
        metadata=_metadata(arrays),
        trust=Trust.from_arrays(dict(arrays)),
    )


def _system(arrays: Arrays, path: Path) -> System:
    numbers = arrays["z"]
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise DataError(f"{path}: z should hold one atomic number per atom, but is {numbers.dtype} {numbers.shape}")
    system = System.from_atomic_numbers(numbers.astype(np.int64))
    changes: dict[str, np.ndarray] = {}
    if (key := next((k for k in ("masses", "masses_iso") if k in arrays), None)) is not None:
        changes["masses"] = np.asarray(arrays[key], dtype=np.float64).reshape(-1)
        if len(changes["masses"]) != system.atoms:
            raise DataError(f"{path}: {key} should hold {system.atoms} masses, but holds {len(changes['masses'])}")
    if "cell" in arrays:
        cell = np.asarray(arrays["cell"], dtype=np.float64)
        if cell.shape not in {(3,), (3, 3)}:
            raise DataError(f"{path}: cell should hold one cell for all frames, (3, 3), but is {cell.shape}")
        changes["cell"] = np.diag(cell) if cell.ndim == 1 else cell
        changes["pbc"] = np.broadcast_to(arrays.get("pbc", np.ones(3)), 3).astype(bool)
    return replace(system, **changes)


def _frames(arrays: Arrays, key: str, atoms: int, path: Path) -> Float[np.ndarray, "frames atoms 3"]:
    array = arrays[key]
    if array.ndim != 3 or array.shape[1:] != (atoms, 3) or len(array) != len(arrays["R"]):
        expected = (len(arrays["R"]), atoms, 3)
        raise DataError(f"{path}: {key} should have the shape (frames, atoms, 3) = {expected}, but is {array.shape}")
    return array.astype(np.float64, copy=False)


def _segments(arrays: Arrays, frames: int, path: Path) -> tuple[Segment, ...] | None:
    step = float(arrays["dt_fs"].reshape(-1)[0]) if "dt_fs" in arrays else None
    if "seg_len" not in arrays:
        return None if step is None else (Segment(0, frames, step),)
    lengths = arrays["seg_len"].reshape(-1)
    if "seg_dt_fs" not in arrays and step is None:
        raise DataError(f"{path} has segments without their time steps: add seg_dt_fs or dt_fs")
    steps = arrays["seg_dt_fs"].reshape(-1) if "seg_dt_fs" in arrays else np.full(len(lengths), step)
    segments = from_lengths(lengths.tolist(), np.broadcast_to(steps, lengths.shape).tolist())
    starts = arrays.get("seg_start", np.array([s.start for s in segments])).reshape(-1)
    if [s.start for s in segments] != starts.tolist() or segments[-1].stop != frames:
        raise DataError(f"{path}: seg_start and seg_len should cover its {frames} frames in order, without a hole")
    return segments


def _metadata(arrays: Arrays) -> dict[str, str]:
    if "meta" not in arrays:
        return {}
    text = str(arrays["meta"])
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return {"meta": text}
    return (
        {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in found.items()}
        if isinstance(found, dict)
        else {"meta": text}
    )


def _arrays(whole: Trajectory, header: FileHeader) -> dict[str, np.ndarray]:
    arrays = {
        "z": whole.system.atomic_numbers,
        "R": whole.positions,
        "masses": whole.system.masses,
        "meta": np.array(json.dumps(dict(header.metadata))),
    }
    if whole.system.cell.any() or whole.system.pbc.any():
        arrays |= {"cell": whole.system.cell, "pbc": whole.system.pbc}
    if "velocities" in header.fields and whole.velocities is not None:
        arrays |= {"V": whole.velocities, "velocity_source": np.array(str(header.velocity_source))}
    if "forces" in header.fields and whole.forces is not None:
        arrays["F"] = whole.forces / KCAL_PER_MOL
    if "energies" in header.fields and whole.energies is not None:
        arrays["E"] = whole.energies / KCAL_PER_MOL
    if whole.trust is not None and header.fields & TRUST_FIELDS:
        arrays |= whole.trust.arrays()
    if len(whole.segments) == 1:
        return arrays | {"dt_fs": np.array(whole.segments[0].timestep)}
    return arrays | {
        "seg_start": np.array([s.start for s in whole.segments]),
        "seg_len": np.array([s.length for s in whole.segments]),
        "seg_dt_fs": np.array([s.timestep for s in whole.segments]),
    }
