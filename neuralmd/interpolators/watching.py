"""Gaps filled with an eye on how far they are to be trusted: error bars, the user's limit, the training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neuralmd.data.seen import Seen
from neuralmd.data.tally import temperatures
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.trust import Flag, Trust
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.doubts import Doubts
from neuralmd.interpolators.filling import path_through, weave


@dataclass(frozen=True, eq=False)
class Watch:
    """What is looked at.

    Attributes:
        seen: What the method was trained on; none not to look at it.
        limit: Largest error bar of a frame that is not worth a flag [A]; none for no limit.
        fallback: What fills the gaps beyond the limit in place of the method; none to leave them.
        at_once: How many gaps are filled together; none for `gaps_at_once`. Rounding depends on it.
    """

    seen: Seen | None = None
    limit: float | None = None
    fallback: Interpolator | None = None
    at_once: int | None = None


@dataclass(frozen=True, eq=False)
class Watched:
    """Filled gaps, each with its first anchor and without its second.

    Attributes:
        positions: x [A].
        velocities: v [A/fs], where the known frames have them.
        trust: Bars and flags; an anchor has none of either.
        doubts: What there is to say of them.
    """

    positions: Float[np.ndarray, "frames atoms 3"]
    velocities: Float[np.ndarray, "frames atoms 3"] | None
    trust: Trust
    doubts: Doubts


def fill_watched(method: Interpolator, known: Trajectory, gaps: range, stride: int, watch: Watch) -> Watched:
    """The fine frames from the first gap's anchor up to, without it, the last gap's second anchor; and their trust.

    Anchors are copied. All hidden frames of a gap have the same flags.

    Args:
        method: What fills the gaps.
        known: Coarse frames of one segment, with those around the gaps that the method wants to see.
        gaps: The frames of it at which the gaps begin.
        stride: Frames from one anchor to the next in what comes out.
        watch: What is looked at, to tell how far to trust them.

    Raises:
        DataError: If the method lacks something.
        SolverError: If an ODE cannot be solved.
    """
    path = path_through(method, known, gaps, stride, watch.at_once)
    rows = slice(gaps.start, gaps.stop)
    positions = weave(known.positions[rows], path.positions)
    velocities = None if known.velocities is None else weave(known.velocities[rows], path.velocities)
    count, atoms = len(gaps), known.system.atoms
    bars, whole = np.full((count, stride - 1, atoms), np.nan), np.full((count, stride - 1), np.nan)
    if path.error_bars is not None and path.frame_error_bars is not None:
        bars = path.error_bars.double().cpu().numpy().transpose(1, 0, 2)
        whole = path.frame_error_bars.double().cpu().numpy().T
    doubts = _of_bars(whole) if path.error_bars is not None else Doubts(gaps=count)
    uncertain = np.zeros(count, dtype=bool) if watch.limit is None else ~(whole <= watch.limit).all(axis=1)
    flags = np.where(uncertain, Flag.UNCERTAIN, 0)
    if watch.fallback is not None and uncertain.any():
        spline = path_through(watch.fallback, known, gaps, stride, watch.at_once)
        hidden = np.repeat(uncertain, stride)
        positions[hidden] = weave(known.positions[rows], spline.positions)[hidden]
        if velocities is not None and known.velocities is not None:
            velocities[hidden] = weave(known.velocities[rows], spline.velocities)[hidden]
        bars[uncertain], whole[uncertain] = np.nan, np.nan
        flags = flags | np.where(uncertain, Flag.SPLINE, 0)
    splined = int(uncertain.sum()) if watch.fallback is not None else 0
    doubts = doubts.plus(Doubts(uncertain=int(uncertain.sum()), splined=splined), watch.seen)
    if watch.seen is not None:
        more, found = against_training(watch.seen, known, gaps, positions)
        flags, doubts = flags | more, doubts.plus(found, watch.seen)
    return Watched(positions, velocities, _woven(flags, bars, whole), doubts)


def _of_bars(whole: Float[np.ndarray, "gaps hidden"]) -> Doubts:
    finite = whole[np.isfinite(whole)]
    return Doubts(
        gaps=len(whole), bars=whole.size, bar_sum=float(finite.sum()), largest_bar=float(finite.max(initial=0.0))
    )


def against_training(
    seen: Seen, known: Trajectory, gaps: range, positions: Float[np.ndarray, "frames atoms 3"]
) -> tuple[np.ndarray, Doubts]:
    """The flags of each gap, from its frames and both of its anchors, and what there is to say of them.

    Args:
        seen: What there was in the training data.
        known: The anchors.
        gaps: The frames of it at which the gaps begin.
        positions: All frames of the gaps, each gap's first anchor among them and the last anchor of all not [A].
    """
    anchors, stride = slice(gaps.start, gaps.stop + 1), len(positions) // len(gaps)
    frames, farthest = seen.strange(np.concatenate((positions, known.positions[gaps.stop : gaps.stop + 1])))
    distance = frames[:-1].reshape(-1, stride).any(axis=1) | frames[stride::stride]
    heat, kelvin, firsts = np.zeros(len(gaps), dtype=bool), None, np.zeros(0)
    if known.velocities is not None:
        values = temperatures(known.positions[anchors], known.velocities[anchors], seen.system)
        odd = seen.unusual(values)
        heat, firsts = odd[:-1] | odd[1:], values[:-1][~odd[:-1]]
        kelvin = max(values[odd].tolist(), key=seen.temperature_excess, default=None)
    flags = np.where(distance, Flag.DISTANCE, 0) | np.where(heat, Flag.TEMPERATURE, 0)
    return flags, Doubts(
        strange=int((distance | heat).sum()),
        by_distance=int(distance.sum()),
        by_temperature=int(heat.sum()),
        farthest=farthest,
        kelvin=kelvin,
        anchors=len(firsts),
        kelvin_sum=float(firsts.sum()),
    )


def _woven(
    flags: np.ndarray, bars: Float[np.ndarray, "gaps hidden atoms"], whole: Float[np.ndarray, "gaps hidden"]
) -> Trust:
    """Bars and flags of all frames: nothing at the anchors, those of their gap at the hidden frames."""
    count, hidden, atoms = bars.shape
    every = np.zeros((count, hidden + 1), dtype=np.uint8)
    every[:, 1:] = flags[:, None]
    each, frame = np.zeros((count, hidden + 1, atoms), np.float32), np.zeros((count, hidden + 1), np.float32)
    each[:, 1:], frame[:, 1:] = bars, whole
    return Trust(every.reshape(-1), each.reshape(-1, atoms), frame.reshape(-1))
