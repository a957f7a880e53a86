"""What a parameter of a sweep is drawn from: wandb's distributions, each as the value at a quantile u in (0, 1)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from typing_extensions import TypeIs

Value = object
"""What YAML can hold: a number, a text, a list, a block, true, false or null."""

Scale = Literal["linear", "log"]
"""What is drawn: a number, or its natural logarithm."""

_TAIL = 1e-3
_DIGITS = 12


class Distribution(ABC):
    """What the values of one parameter are drawn from."""

    @abstractmethod
    def at(self, quantile: float) -> Value:
        """The value below which the share `quantile`, in (0, 1), of all draws lies."""

    @abstractmethod
    def values(self) -> tuple[Value, ...] | None:
        """All values that can be drawn; none if they are not finite in number."""

    def samples(self) -> tuple[Value, ...]:
        """Values that stand for all: every one of a finite set, or else the ends and the middle."""
        found = self.values()
        return found if found is not None else tuple(self.at(quantile) for quantile in (_TAIL, 0.5, 1.0 - _TAIL))


@dataclass(frozen=True)
class Constant(Distribution):
    """One value.

    Attributes:
        value: It.
    """

    value: Value

    def at(self, quantile: float) -> Value:  # noqa: ARG002 - all draws are alike
        """The value."""
        return self.value

    def values(self) -> tuple[Value, ...]:
        """The value."""
        return (self.value,)


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several values.

    Attributes:
        options: The values.
        probabilities: How likely each is, in sum 1; none for all alike.
    """

    options: tuple[Value, ...]
    probabilities: tuple[float, ...] | None = None

    def at(self, quantile: float) -> Value:
        """The first option up to which the probabilities sum to more than the quantile."""
        shares = self.probabilities or (1.0 / len(self.options),) * len(self.options)
        below = 0.0
        for option, share in zip(self.options, shares, strict=True):
            below += share
            if quantile < below:
                return option
        return self.options[-1]

    def values(self) -> tuple[Value, ...]:
        """The options."""
        return self.options


@dataclass(frozen=True)
class Range(Distribution):
    """Uniform between two numbers.

    Attributes:
        low: The lowest.
        high: The highest.
        scale: Whether the number or its logarithm is uniform.
        quantum: What the number is rounded to a multiple of; none to leave it. A whole one makes whole numbers.
    """

    low: float
    high: float
    scale: Scale = "linear"
    quantum: float | None = None

    def at(self, quantile: float) -> Value:
        """Low + u (high - low), or low (high / low)^u; of the multiples of a quantum, each as likely as the others."""
        if self.scale == "log":
            return rounded(self.low * (self.high / self.low) ** quantile, self.quantum)
        if self.quantum is not None:
            counts = self._counts(self.quantum)
            return rounded(counts[min(int(quantile * len(counts)), len(counts) - 1)] * self.quantum, self.quantum)
        return self.low + quantile * (self.high - self.low)

    def values(self) -> tuple[Value, ...] | None:
        """The multiples of the quantum from end to end; none without one."""
        if self.quantum is None:
            return None
        return tuple(rounded(count * self.quantum, self.quantum) for count in self._counts(self.quantum))

    def samples(self) -> tuple[Value, ...]:
        """The ends and the middle."""
        return tuple(self.at(quantile) for quantile in (_TAIL, 0.5, 1.0 - _TAIL))

    def _counts(self, quantum: float) -> range:
        return range(round(self.low / quantum), round(self.high / quantum) + 1)


@dataclass(frozen=True)
class Normal(Distribution):
    """A normal distribution.

    Attributes:
        mean: Its mean.
        deviation: Its standard deviation.
        scale: Whether the number or its logarithm is normal.
        quantum: As in `Range`.
    """

    mean: float
    deviation: float
    scale: Scale = "linear"
    quantum: float | None = None

    def at(self, quantile: float) -> Value:
        """The quantile of the normal distribution, or its exponential."""
        number = NormalDist(self.mean, self.deviation).inv_cdf(min(max(quantile, _TAIL), 1.0 - _TAIL))
        return rounded(math.exp(number) if self.scale == "log" else number, self.quantum)

    def values(self) -> None:
        """Not finite in number."""


@dataclass(frozen=True)
class Beta(Distribution):
    """A beta distribution between 0 and 1.

    Attributes:
        a: Its first exponent, less 1.
        b: Its second exponent, less 1.
        quantum: As in `Range`.
    """

    a: float
    b: float
    quantum: float | None = None

    def at(self, quantile: float) -> Value:
        """The quantile of the beta distribution."""
        from scipy.special import betaincinv

        return rounded(float(betaincinv(self.a, self.b, quantile)), self.quantum)

    def values(self) -> None:
        """Not finite in number."""


def is_number(value: Value) -> TypeIs[int | float]:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def rounded(number: float, quantum: float | None) -> float | int:
    """round(x / q) q, without the dust of binary fractions; the number itself where q is none."""
    if quantum is None:
        return number
    multiple = round(number / quantum) * quantum
    return multiple if isinstance(multiple, int) else float(f"{multiple:.{_DIGITS}g}")
