"""The stretch of frames that a report shows: rebuilt from a run's test part, or read from a rebuilt file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.formats import open_reader
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.data.trust import Flag
from neuralmd.data.windows import Frames, cut
from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.rebuild import true_trajectory
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.report.html.flags import GapTrust
from neuralmd.report.html.scene import Layer, Scene
from neuralmd.report.html.words import label_of
from neuralmd.runs import TrainedRun
from neuralmd.training.checkpoint import require_same_atoms

FRAMES: Final = 401
"""Frames of a report that is told no number."""

_COORDINATES: Final = 1_500_000
"""Numbers of one layer at most where no number of frames is told: a page of a few tens of megabytes."""

_GAPS_AT_ONCE: Final = 64
_SAME_POSITION: Final = 2e-3
"""How far an anchor may be from the same frame of the truth [A]: the rounding of file formats."""


@dataclass(frozen=True, eq=False)
class RebuiltFile:
    """A trajectory that was rebuilt, and where the truth is.

    Attributes:
        path: The file.
        truth: The fine file that it was thinned from; none if there is none.
        stride: Frames from anchor to anchor; none if the file says so itself.
        declared: What the user says about the file.
        of_truth: What the user says about the fine file.
    """

    path: Path
    truth: Path | None = None
    stride: int | None = None
    declared: Declared = AS_IT_IS
    of_truth: Declared = AS_IT_IS

    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself.

        Raises:
            DataError: If it cannot be read.
        """
        with open_reader(self.path, declared=self.declared) as reader:
            return reader.metadata


def from_windows(methods: Mapping[str, Interpolator], windows: Windows, frames: int | None) -> Scene:
    """The first consecutive windows of an evaluation, as the last of its methods and one spline rebuild them.

    Args:
        methods: Splines and the run's directions, the model last.
        windows: Consecutive windows.
        frames: Most frames to show; none for `FRAMES`, or fewer of a large system.

    Raises:
        DataError: If so many frames do not hold a gap.
        SolverError: If an ODE cannot be solved.
    """
    gaps = _gaps(frames, windows.stride, windows.frames.system.atoms)
    consecutive = int((windows.starts[:gaps].diff() == windows.stride).long().cumprod(0).sum()) + 1
    shown = replace(windows, starts=windows.starts[:consecutive])
    truth, gaps_shown = true_trajectory(shown), _Gaps(windows.frames, shown.starts, windows.stride)
    name, model = list(methods.items())[-1]
    own = _layer(name, model, gaps_shown, truth)
    beside = _layer("cubic_hermite", methods["cubic_hermite"], gaps_shown, truth)
    level = _level(model) if own.error_bars is not None else None
    return Scene(
        truth.system, truth.timestep, windows.stride, (own, beside), truth.positions, level, windows.source, shown.notes
    )


def from_file(file: RebuiltFile, run: TrainedRun, methods: Mapping[str, Interpolator], frames: int | None) -> Scene:
    """The first frames of a rebuilt file, or those around its worst flagged gap, with the model's error bars.

    Args:
        file: The file, and where its truth is.
        run: The run that it was rebuilt with.
        methods: Splines and the run's directions, the model last.
        frames: Most frames to show; none for `FRAMES`, or fewer of a large system.

    Raises:
        DataError: If a file cannot be read, does not say where its anchors are, or the truth is another trajectory's.
        CheckpointError: If the file is of another molecule than the run.
        SolverError: If an ODE cannot be solved.
    """
    with open_reader(file.path, declared=file.declared) as reader:
        require_same_atoms(run.system, reader.system, file.path)
        stride = _stated_stride(file.path, reader.metadata) if file.stride is None else file.stride
        if stride < 2:
            raise DataError(f"the stride must be at least 2, or no frame is hidden, but is {stride}")
        gaps = _gaps(frames, stride, reader.system.atoms)
        trust = GapTrust.of(reader, stride)
        segment = _whole_gaps(reader.segments, stride, gaps, file.path, trust)
        origin = max(each.start for each in reader.segments if each.start <= segment.start)
        rebuilt = reader.read(segment.start, segment.stop)
        metadata = reader.metadata
    truth = None if file.truth is None else _matching(file.truth, rebuilt, stride, file.of_truth)
    name = metadata.get("method", "rebuilt")
    own = Layer(name, label_of(name), rebuilt.positions, _own_bars(rebuilt))
    model, notes = list(methods.values())[-1], []
    known = _known_gaps(rebuilt, stride, next(model.parameters(), torch.zeros(0)).device)
    calibrated = isinstance(model, BidirectionalODE) and name == list(methods)[-1]
    if own.error_bars is None and calibrated and rebuilt.velocities is not None:
        own = replace(own, error_bars=_layer(name, model, known, rebuilt).error_bars)
    if own.error_bars is None and truth is None:
        notes.append("neither the truth nor calibrated error bars are there for this file: atoms have element colours")
    spline = "cubic_hermite" if rebuilt.velocities is not None else "cubic_spline"
    beside = _layer(spline, methods[spline], known, rebuilt)
    level = _level(model) if own.error_bars is not None else None
    flags = None if trust is None else trust.flags[trust.within(segment)]
    if flags is not None and (flags & Flag.SPLINE).any():
        own = replace(own, label=f"{own.label}, a spline where flagged")
    return Scene(
        rebuilt.system,
        rebuilt.timestep,
        stride,
        (own, beside),
        truth,
        level,
        file.path.name,
        tuple(notes),
        None if flags is None else tuple(flags.tolist()),
        segment.start,
        (segment.start - origin) * segment.timestep,
    )


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Consecutive gaps: frames of which the anchors are known, and where the gaps begin."""

    frames: Frames
    starts: Int[torch.Tensor, " gaps"]
    stride: int


@torch.no_grad()
def _layer(name: str, method: Interpolator, gaps: _Gaps, between: Trajectory) -> Layer:
    """What a method makes of consecutive gaps, woven with the anchors of a trajectory that spans them."""
    dtype = next((parameter.dtype for parameter in method.parameters()), torch.float64)
    stride, positions = gaps.stride, between.positions.copy()
    bars: Float[np.ndarray, "frames atoms"] | None = np.zeros(positions.shape[:2])
    gap = 0
    for chosen in gaps.starts.split(_GAPS_AT_ONCE):
        window = cut(gaps.frames, chosen, stride, dtype, method.context, method.boundary_frames)
        path = method(window.anchors, window.times)
        for index in range(len(chosen)):
            hidden = slice(gap * stride + 1, (gap + 1) * stride)
            positions[hidden] = path.positions[:, index].double().cpu().numpy()
            if path.error_bars is not None and bars is not None:
                bars[hidden] = path.error_bars[:, index].double().cpu().numpy()
            gap += 1
        bars = None if path.error_bars is None else bars
    return Layer(name, label_of(name), positions, bars)


def _own_bars(rebuilt: Trajectory) -> Float[np.ndarray, "frames atoms"] | None:
    """The error bars that the file holds; NaN where it holds none."""
    held = None if rebuilt.trust is None else rebuilt.trust.error_bars
    return None if held is None else held.astype(np.float64)


def _level(model: Interpolator) -> float | None:
    return model.error_bars.level if isinstance(model, BidirectionalODE) and model.error_bars is not None else None


def _gaps(frames: int | None, stride: int, atoms: int) -> int:
    """How many gaps to show."""
    if frames is None:
        return max(1, (min(FRAMES, _COORDINATES // (3 * atoms)) - 1) // stride)
    if frames <= stride:
        raise DataError(f"--frames {frames} does not hold a gap: at stride {stride}, give {stride + 1} or more")
    return (frames - 1) // stride


def _stated_stride(path: Path, metadata: Mapping[str, str]) -> int:
    stated = metadata.get("reconstructed_stride", "")
    if not stated.isdecimal() or int(stated) < 2:
        raise DataError(f"{path} does not say how many frames apart its known frames are: give --stride")
    return int(stated)


def _whole_gaps(segments: tuple[Segment, ...], stride: int, gaps: int, path: Path, trust: GapTrust | None) -> Segment:
    """As many gaps as are wanted, or as there are: around the worst flagged one, or else the first of all."""
    worst = None if trust is None or trust.worst is None else int(trust.starts[trust.worst])
    for segment in segments:
        if segment.length > stride and (worst is None or segment.start <= worst < segment.stop):
            there = (segment.length - 1) // stride
            shown = min(gaps, there)
            place = 0 if worst is None else (worst - segment.start) // stride
            first = min(max(place - shown // 2, 0), there - shown)
            return replace(segment, start=segment.start + first * stride, length=shown * stride + 1)
    raise DataError(f"{path} is shorter than one gap of stride {stride}: give a longer file, or the --stride it has")


def _known_gaps(rebuilt: Trajectory, stride: int, device: torch.device) -> _Gaps:
    """The gaps of a rebuilt stretch: its anchors, and NaN between them, so that no method can look there."""
    bare = replace(
        rebuilt,
        positions=_anchors_only(rebuilt.positions, stride),
        velocities=None if rebuilt.velocities is None else _anchors_only(rebuilt.velocities, stride),
        forces=None,
        energies=None,
    )
    starts = torch.arange(0, len(rebuilt) - 1, stride)
    return _Gaps(Frames.of(bare, device, velocities_needed=False), starts, stride)


def _anchors_only(values: Float[np.ndarray, "frames atoms 3"], stride: int) -> Float[np.ndarray, "frames atoms 3"]:
    only = np.full_like(values, np.nan)
    only[::stride] = values[::stride]
    return only


def _matching(path: Path, rebuilt: Trajectory, stride: int, declared: Declared) -> Float[np.ndarray, "frames atoms 3"]:
    """The true positions at the times of a rebuilt stretch, found by its anchors."""
    anchors = rebuilt.positions[::stride]
    with open_reader(path, declared=declared) as reader:
        require_same_atoms(rebuilt.system, reader.system, path)
        first = 0
        for block in reader.blocks():
            for frame in np.flatnonzero(np.abs(block.positions - anchors[0]).max(axis=(1, 2)) < _SAME_POSITION):
                start = first + int(frame)
                if _fits(reader.segments, start, rebuilt):
                    truth = reader.read(start, start + len(rebuilt)).positions
                    if np.abs(truth[::stride] - anchors).max() < _SAME_POSITION:
                        return truth
            first += len(block)
    raise DataError(
        f"{path} is not the truth of the rebuilt file: no stretch of it has its known frames, {rebuilt.timestep:g} fs "
        "a frame; give the fine file that was thinned, or leave --truth out"
    )


def _fits(segments: tuple[Segment, ...], start: int, rebuilt: Trajectory) -> bool:
    """Whether the segment that a frame lies in goes on for long enough, at the same time step."""
    return any(
        segment.start <= start
        and start + len(rebuilt) <= segment.stop
        and np.isclose(segment.timestep, rebuilt.timestep)
        for segment in segments
    )
