"""Lambda: how the forward and the backward solution are joined into one path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from neuralmd.errors import ConfigError
from neuralmd.interpolators.base import Path


class Blend(ABC):
    """The weight lambda of the backward solution as a function of s = t / gap in [0, 1].

    lambda(0) = 0,  lambda(1) = 1;  lambda(s) + lambda(1 - s) = 1 for those of a formula
    """

    @property
    def reach(self) -> float:
        """The part of the gap, from either anchor, within which its solution has weight."""
        return 1.0

    @abstractmethod
    def weight(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The weight lambda(s)."""

    @abstractmethod
    def rate(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The slope d lambda/ds."""

    def of_atoms(
        self, s: Float[Tensor, " time"], gap: float
    ) -> tuple[Float[Tensor, "time ..."], Float[Tensor, "time ..."]]:
        """Lambda and d lambda/dt [1/fs] in gaps of this length [fs]: of each atom, or one for all."""
        return self.weight(s), self.rate(s) / gap

    def remarks(self, gap: float) -> list[str]:  # noqa: ARG002
        """What is to be said about lambda in gaps of this length [fs]."""
        return []


@dataclass(frozen=True)
class LinearBlend(Blend):
    """lambda = s. Its kink at each anchor puts a false line at 33356 / gap[fs] cm^-1 into the spectrum."""

    def weight(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The weight lambda(s)."""
        return s

    def rate(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The slope d lambda/ds."""
        return torch.ones_like(s)


@dataclass(frozen=True)
class SmoothstepBlend(Blend):
    """lambda = 3 s^2 - 2 s^3: continuous velocities at the anchors."""

    def weight(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The weight lambda(s)."""
        return s**2 * (3 - 2 * s)

    def rate(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The slope d lambda/ds."""
        return 6 * s * (1 - s)


@dataclass(frozen=True)
class QuinticBlend(Blend):
    """lambda = 10 s^3 - 15 s^4 + 6 s^5: continuous velocities and accelerations at the anchors."""

    def weight(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The weight lambda(s)."""
        return s**3 * (10 - 15 * s + 6 * s**2)

    def rate(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The slope d lambda/ds."""
        return 30 * (s * (1 - s)) ** 2


@dataclass(frozen=True)
class PowerBlend(Blend):
    """lambda = s^p / (s^p + (1 - s)^p).

    The weight of least variance where the variance of each solution's error grows as t^p; p = 3 if the error grows
    like noise in the acceleration.

    Attributes:
        exponent: p, at least 1.

    Raises:
        ConfigError: If p < 1, for which d lambda/dt is infinite at the anchors.
    """

    exponent: float = 3.0

    def __post_init__(self) -> None:
        if not 1 <= self.exponent < float("inf"):
            raise ConfigError(f"the exponent of a power blend must be finite and at least 1, but is {self.exponent}")

    def weight(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The weight lambda(s), in a form that neither overflows nor loses the ends."""
        power = _odds(s) ** self.exponent
        return torch.where(s <= 0.5, power, 1.0) / (1 + power)

    def rate(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The slope d lambda/ds = p (s (1 - s))^(p-1) / (s^p + (1 - s)^p)^2."""
        odds = _odds(s)
        larger = torch.maximum(s, 1 - s)
        return self.exponent * odds ** (self.exponent - 1) / (larger * (1 + odds**self.exponent)) ** 2


@dataclass(frozen=True)
class CompactBlend(Blend):
    """lambda = u^p / (u^p + (1 - u)^p) with u = (s - margin) / (1 - 2 margin), held to [0, 1].

    Next to each anchor the other's solution, which is the worse there, has no weight at all: it need not be solved
    for. The solve then takes the part 1 - margin of the evaluations, unless a correction or error bars ask for the
    disagreement of the solutions in the whole gap. On benzene at K = 20 a margin of 1/4 with p = 2
    errs as little as the power blend with p = 3.

    Attributes:
        margin: Part of the gap, next to each anchor, that its own solution has to itself.
        exponent: p, at least 1; the path has p - 1 continuous derivatives at the margins.

    Raises:
        ConfigError: If the margin is negative or not below 1/2, or p < 1.
    """

    margin: float = 0.25
    exponent: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 0.5:
            raise ConfigError(f"the margin of a compact blend must be in [0, 1/2), but is {self.margin}")
        PowerBlend(self.exponent)

    @property
    @override
    def reach(self) -> float:
        return 1.0 - self.margin

    def weight(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The weight lambda(s)."""
        return PowerBlend(self.exponent).weight(self._inner(s))

    def rate(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """The slope d lambda/ds, 0 within the margins."""
        inner = self._inner(s)
        slope = PowerBlend(self.exponent).rate(inner) / (1 - 2 * self.margin)
        return torch.where((inner > 0) & (inner < 1), slope, 0.0) if self.margin > 0 else slope

    def _inner(self, s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
        """u, such that u(s) + u(1 - s) = 1 to the last bit."""
        return (0.5 + (s - 0.5) / (1 - 2 * self.margin)).clamp(0.0, 1.0)


def blend(forward: Path, backward: Path, weight: Float[Tensor, "time ..."], rate: Float[Tensor, "time ..."]) -> Path:
    """Join a forward and a backward solution into a path that meets both anchors.

    x_hat(t) = (1 - lambda(t)) x_fwd(t) + lambda(t) x_bwd(t)
    v_hat(t) = (1 - lambda(t)) v_fwd(t) + lambda(t) v_bwd(t) + lambda'(t) (x_bwd(t) - x_fwd(t))

    The velocity is the derivative of the positions, not the blend of the velocities.

    Args:
        forward: Solution from the first anchor.
        backward: Solution from the second anchor, in order of increasing time.
        weight: lambda at each time, 0 at the first anchor and 1 at the second; of each atom, or one for all.
        rate: lambda' = d lambda/dt of the same [1/fs].

    Raises:
        ValueError: If the two solutions differ in shape, or the weights in number from the times.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020), eq. 1.
    """
    shape = forward.positions.shape
    if backward.positions.shape != shape or len(weight) != shape[0] or len(rate) != shape[0]:
        raise ValueError(
            f"a blend needs two solutions at the same times and a weight at each, but came with {tuple(shape)}, "
            f"{tuple(backward.positions.shape)} and {len(weight)} weights"
        )
    share = weight.to(forward.positions).reshape(shape[0], 1, -1, 1)
    change = rate.to(forward.positions).reshape(shape[0], 1, -1, 1)
    positions = (1 - share) * forward.positions + share * backward.positions
    velocities = (1 - share) * forward.velocities + share * backward.velocities
    return Path(positions, velocities + change * (backward.positions - forward.positions))


def _odds(s: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
    return torch.minimum(s, 1 - s) / torch.maximum(s, 1 - s)
