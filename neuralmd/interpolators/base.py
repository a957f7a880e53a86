"""`Interpolator`: the one interface of splines, recurrent networks and neural ODEs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.data.anchors import Anchors
from neuralmd.errors import DataError
from neuralmd.system import Curves, Times


@dataclass(frozen=True, eq=False)
class Friction:
    """The friction of a global thermostat along a gap, as it was inferred: dv/dt = f(x) - gamma(t) v.

    v <- v (1 - gamma_j h) at the beginning t_j of each time step h; a negative gamma heats.

    Attributes:
        times: t_j after the first anchor [fs].
        rate: gamma_j [1/fs].
        spread: Its posterior standard deviation [1/fs].
    """

    times: Times
    rate: Float[Tensor, "step batch"]
    spread: Float[Tensor, "step batch"]


@dataclass(frozen=True, eq=False)
class Path:
    """What an interpolator gives: states at the times asked for.

    Attributes:
        positions: x(t) [A].
        velocities: dx/dt of the same curve [A/fs].
        accelerations: d^2x/dt^2 of the same curve [A/fs^2]; none where they did not come for nothing.
        error_bars: Half-width of the interval that each component of an atom's position lies in with the probability
            that the interpolator was calibrated for [A]; none without a calibration.
        frame_error_bars: What the root mean square error over all components of a frame is below with that
            probability [A].
        friction: The friction of a global thermostat, where the interpolator infers it.
    """

    positions: Curves
    velocities: Curves
    accelerations: Curves | None = None
    error_bars: Float[Tensor, "time batch atoms"] | None = None
    frame_error_bars: Float[Tensor, "time batch"] | None = None
    friction: Friction | None = None

    def __repr__(self) -> str:
        times, batch, atoms, _ = self.positions.shape
        bars = "" if self.error_bars is None else ", with error bars"
        return f"Path({times} times, batch {batch}, {atoms} atoms{bars})"


class Interpolator(nn.Module, ABC):
    """Turns the two anchors of a gap and a list of times into a path through the gap.

    Every interpolator meets both anchors' positions exactly where it is bidirectional, the one that it starts from
    otherwise; accepts any times in [0, gap], in increasing order; and gives for a batch what it gives one by one.
    """

    context: ClassVar[int] = 0
    """How many known frames beyond each anchor it wants to see."""

    boundary_frames: int = 1
    """How many consecutive fine frames it reads at each anchor, the anchor included; a coarse file has but one."""

    needs_velocities: ClassVar[bool] = True
    """Whether it reads the anchors' velocities."""

    needs_forces: ClassVar[bool] = False
    """Whether it reads the anchors' accelerations."""

    at_once: int | None = None
    """Gaps that are filled at once, if somebody has chosen; see `neuralmd.interpolators.batches.gaps_at_once`."""

    @abstractmethod
    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The path at the given times [fs] after the first anchor.

        Raises:
            DataError: If the times do not lie in [0, gap] in increasing order, or the anchors lack what is needed.
            SolverError: If an ODE cannot be solved.
        """

    def remark(self, gap: float) -> str | None:
        """What a user should know before gaps of this length [fs] are filled; none if there is nothing to say."""
        del gap

    def error_bar_level(self, gap: float) -> float | None:
        """Probability that error bars of gaps of this length [fs] are for; none if such gaps get no error bars."""
        del gap

    def for_inferred_velocities(self) -> Interpolator:
        """The same method without what holds only where the anchors' velocities are known, as are its error bars."""
        return self


def check_times(times: Times, gap: float) -> None:
    """Raise DataError unless the times lie in [0, gap] in increasing order."""
    slack = 1e-5 * gap
    if not 0 < gap < float("inf"):
        raise DataError(f"the gap between two anchors must be positive and finite [fs], but is {gap}")
    if len(times) == 0:
        raise DataError("a path needs at least one query time, but none came")
    if not bool(torch.isfinite(times).all()):
        raise DataError("query times must be finite")
    if float(times[0]) < -slack or float(times[-1]) > gap + slack:
        raise DataError(f"query times must lie in [0, {gap:g}] fs, but span {float(times[0]):g}..{float(times[-1]):g}")
    if bool((times[1:] <= times[:-1]).any()):
        raise DataError("query times must increase")


def clean_times(times: Times, gap: float) -> Times:
    """The times in float64, with those that differ from 0 or the gap by rounding only made exactly that.

    Raises:
        DataError: If the times do not lie in [0, gap] in increasing order.
    """
    check_times(times, gap)
    slack = 4 * torch.finfo(times.dtype).eps * gap
    exact = times.detach().to(torch.float64).clamp(0.0, gap)
    exact = torch.where(exact <= slack, 0.0, exact)
    return torch.where(exact >= gap - slack, gap, exact)
