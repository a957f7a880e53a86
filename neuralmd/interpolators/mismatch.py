"""`Correction`: what is made of the disagreement of the two solutions, and the solutions that it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from neuralmd.interpolators.base import Path
from neuralmd.system import Curves, Times

PROBES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where in the gap the mismatch is asked for, beside the query times, as parts of the gap."""

VELOCITY_WEIGHT: Final = 0.3
"""Weight of an error of velocity in a fit, times the time from frame to frame, against one of position."""

_SAME_GAP: Final = 1e-3
"""Part of a gap by which it may differ from one that was fitted."""


@dataclass(frozen=True, eq=False)
class Solutions:
    """Both solutions at the same times, and at the probes.

    Attributes:
        gap: Time from anchor to anchor [fs].
        s: Times as parts of the gap.
        forward: Solution from the first anchor.
        backward: Solution from the second anchor, in order of increasing time.
        forward_probes: The forward solution at `PROBES`.
        backward_probes: The backward solution at `PROBES`.
    """

    gap: float
    s: Times
    forward: Path
    backward: Path
    forward_probes: Path
    backward_probes: Path


class Rated(NamedTuple):
    """A quantity and its derivative."""

    value: Tensor
    rate: Tensor


class Correction(nn.Module, ABC):
    """Something that is added to the blend and vanishes at both anchors, fitted for gaps of certain lengths.

    Attributes:
        gaps: These lengths [fs].
        ready: Which of them have been fitted.
    """

    gaps: Tensor
    ready: Tensor

    @abstractmethod
    def forward(self, solutions: Solutions, accelerations: tuple[Curves, Curves]) -> Path:
        """What to add to the blend's positions and velocities.

        Args:
            solutions: Forward and backward.
            accelerations: dv/dt along the forward and the backward solution [A/fs^2].

        Raises:
            DataError: If it was not fitted for this gap.
        """

    def fitted(self, gap: float) -> int | None:
        """Index of what was fitted for gaps of this length [fs]; none if nothing was."""
        close = torch.nonzero(((self.gaps - gap).abs() < _SAME_GAP * gap) & self.ready).flatten().tolist()
        return close[0] if close else None

    def extra_repr(self) -> str:
        """The gaps that it is for; see `torch.nn.Module.extra_repr`."""
        return f"gaps of {', '.join(f'{gap:.4g}' for gap in self.gaps.tolist())} fs"


def shapes(s: Times, terms: int) -> Rated:
    """phi_n(s) = 16 s^2 (1 - s)^2 T_n(2 s - 1) with Chebyshev's polynomials T_n, and d phi_n/ds; shape (terms, time).

    Their values and slopes vanish at both ends.
    """
    x = 2.0 * s - 1.0
    values, rates = [torch.ones_like(x), x], [torch.zeros_like(x), torch.ones_like(x)]
    for _ in range(2, terms):
        rates.append(2.0 * values[-1] + 2.0 * x * rates[-1] - rates[-2])
        values.append(2.0 * x * values[-1] - values[-2])
    value, rate = torch.stack(values[:terms]), torch.stack(rates[:terms])
    bump = 1.0 - x**2
    return Rated(value * bump**2, 2.0 * (rate * bump**2 - 4.0 * x * bump * value))
