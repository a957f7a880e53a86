"""Whether frames follow each other in time, or have been shuffled as those of rMD17."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError

SAMPLE_FRAMES: Final = 1000
"""How many consecutive frames the test looks at."""

_SAMPLE_NUMBERS: Final = 2**21
_FEWEST: Final = 20
_LAGS: Final = 20
_DEVIATIONS: Final = 5.0
_POWER: Final = 0.4
"""Real trajectories, however coarse, exceed this correlation at some lag; a noise level near it cannot tell."""


@dataclass(frozen=True)
class OrderTest:
    """Correlation of the positions with themselves some frames later.

    rho(k) = sum_i x(i).x(i+k) / sum_i x(i).x(i), of positions less their mean

    For frames in random order every rho(k) is zero within sigma; mean squared distances, 2 var(x) (1 - rho), are then
    equal at all lags and for random pairs. A trajectory too coarse to follow its fast modes still has a strong rho at
    some lag, from rotation, slow modes, and oscillations that keep their phase.

    Attributes:
        neighbours: Mean squared distance of consecutive frames over that of random pairs, 1 - rho(1).
        strongest: Largest |rho(k)| over lags of 1..20 frames.
        sigma: Standard deviation of rho in random order: sqrt(tr C^2 / (tr C)^2 / frames), C the covariance.
        frames: Number of frames looked at.
    """

    neighbours: float
    strongest: float
    sigma: float
    frames: int

    @property
    def shuffled(self) -> bool:
        """Whether the frames are in random order, as far as their number allows to tell."""
        limit = _DEVIATIONS * self.sigma
        return self.frames >= _FEWEST and limit < _POWER and self.strongest < limit

    @property
    def complaint(self) -> str:
        """What to tell the user about shuffled frames."""
        return (
            "consecutive frames are no closer to each other than random pairs "
            f"(ratio of mean squared distances {self.neighbours:.2f}): the frames are shuffled, as those of rMD17, "
            "and no trajectory; take the same molecule from the original MD17"
        )


def sample_length(segment: Segment, atoms: int) -> int:
    """How many frames of a segment to give to `check_order`: enough to tell, few enough for any memory."""
    return min(segment.length, SAMPLE_FRAMES, max(2 * _FEWEST, _SAMPLE_NUMBERS // (3 * atoms)))


def check_order(positions: Float[np.ndarray, "frames atoms 3"]) -> OrderTest:
    """Test whether consecutive frames are closer to each other than random pairs."""
    frames = len(positions)
    flat = positions.reshape(frames, -1)
    flat = flat - flat.mean(axis=0)
    variance = float(np.mean(np.sum(flat * flat, axis=1))) if frames else 0.0
    if frames < _FEWEST or variance == 0.0:
        return OrderTest(0.0, 1.0, 1.0, frames)
    lags = range(1, min(_LAGS, frames // 4) + 1)
    rho = [float(np.mean(np.sum(flat[k:] * flat[:-k], axis=1))) / variance for k in lags]
    # The covariance and the frames' Gram matrix share their spectrum: take the smaller.
    gram = (flat.T @ flat if flat.shape[1] < frames else flat @ flat.T) / frames
    sigma = float(np.sqrt(np.sum(gram * gram) / np.trace(gram) ** 2 / frames))
    return OrderTest(1.0 - rho[0], max(abs(r) for r in rho), sigma, frames)


def require_trajectory(trajectory: Trajectory) -> None:
    """Check that frames can be learned from as a trajectory.

    Raises:
        DataError: If there are fewer than two frames, a position is not finite, or the frames are in random order.
    """
    if len(trajectory) < 2:
        raise DataError(f"a trajectory needs at least two frames, but {len(trajectory)} came: give the whole run")
    finite = np.isfinite(trajectory.positions).all(axis=(1, 2))
    if not finite.all():
        raise DataError(f"a position is NaN or infinite in frame {int((~finite).argmax())}: cut the file before it")
    longest = max(trajectory.segments, key=lambda segment: segment.length)
    stop = longest.start + sample_length(longest, trajectory.system.atoms)
    test = check_order(trajectory.positions[longest.start : stop])
    if test.shuffled:
        raise DataError(test.complaint)
