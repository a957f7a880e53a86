"""`Constant`: a number array that keeps its full precision whatever a module is converted to."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


class Constant:
    """An array in double precision, given out in the precision and on the device of whatever it meets.

    A buffer would be rounded by `module.float()` and stay rounded after `module.double()`.
    """

    def __init__(self, exact: Float[Tensor, "..."]) -> None:
        self._exact = exact.double()
        self._last = self._exact

    def like(self, other: Tensor) -> Float[Tensor, "..."]:
        """The array in the precision and on the device of another."""
        if self._last.dtype != other.dtype or self._last.device != other.device:
            self._last = self._exact.to(other)
        return self._last
