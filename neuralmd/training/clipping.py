"""Clipping of gradients: a largest norm, and one in units of what is usual at this point of the training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

_MEMORY = 50
"""Steps over which the usual norm is averaged."""


@dataclass(frozen=True)
class Clipping:
    """Limits of the gradient's norm.

    g <- g min(1, limit / |g|),   limit = min(largest, spike u),   u <- u + (min(|g|, limit) - u) / 50

    The gradient of a squared error falls with the error, so that no fixed limit holds back a single bad step for long.
    One such step at a high learning rate can throw a field off so far that it takes thousands of steps to come back.

    Attributes:
        largest: The largest norm.
        spike: The largest norm in units of the usual one, u; none for no such limit.

    Reference:
        Seetharaman et al., AutoClip: adaptive gradient clipping for source separation networks, MLSP (2020),
        arXiv:2007.14469: a percentile of all norms so far, where this takes a multiple of the recent mean.
    """

    largest: float = 10.0
    spike: float | None = None

    def __call__(self, weights: Iterable[nn.Parameter], usual: float | None) -> tuple[float, float | None]:
        """Clip the gradients of weights in place.

        Args:
            weights: The weights.
            usual: u before this step; none at the first.

        Returns:
            The norm before, and u after this step, which stays where the norm is not finite.
        """
        limit = self.largest if self.spike is None or usual is None else min(self.largest, self.spike * usual)
        norm = float(nn.utils.clip_grad_norm_(weights, limit))
        if not math.isfinite(norm):
            return norm, usual
        clipped = min(norm, limit)
        return norm, clipped if usual is None else usual + (clipped - usual) / _MEMORY
