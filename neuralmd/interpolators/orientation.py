"""In which axes a network that is not equivariant sees a molecule: those of the laboratory, or the molecule's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.errors import DataError
from neuralmd.system import Positions

Rotations = Float[Tensor, "batch 3 3"]
"""A rotation R for each configuration; it acts on rows: x_seen = x R, x = x_seen R^T."""

_ROUNDS = 3
_FLAT = 1e-3


@dataclass(frozen=True)
class Orientation(ABC):
    """The axes in which each configuration is seen."""

    @abstractmethod
    def rotations(
        self, centred: Positions, reference: Float[Tensor, "atoms 3"], masses: Float[Tensor, " atoms"]
    ) -> Rotations:
        """The rotation R of each configuration.

        Args:
            centred: Positions from the centre of mass [A].
            reference: The structure that `reference` gave [A].
            masses: [amu].
        """

    @abstractmethod
    def reference(self, centred: Positions, masses: Float[Tensor, " atoms"]) -> Float[Tensor, "atoms 3"]:
        """The mean structure of a trajectory as seen in these axes [A].

        Raises:
            DataError: If the molecule has no such axes.
        """


@dataclass(frozen=True)
class LabFrame(Orientation):
    """The axes of the file: R = 1. A molecule that tumbles looks different in every frame."""

    def rotations(
        self, centred: Positions, reference: Float[Tensor, "atoms 3"], masses: Float[Tensor, " atoms"]
    ) -> Rotations:
        """The identity."""
        del reference, masses
        return torch.eye(3, dtype=centred.dtype, device=centred.device).expand(len(centred), 3, 3)

    def reference(self, centred: Positions, masses: Float[Tensor, " atoms"]) -> Float[Tensor, "atoms 3"]:
        """The mean."""
        del masses
        return centred.mean(0)


@dataclass(frozen=True)
class BodyFrame(Orientation):
    """The axes in which the molecule lies as close to the reference structure as it can.

    R = argmin sum_i m_i |x_i R - r_i|^2 over rotations: R = U diag(1, 1, det(U V^T)) V^T, U S V^T = sum_i m_i x_i^T r_i

    It makes any network rotation-equivariant. No gradient goes through R: it depends on the anchors alone.

    Reference:
        Kabsch, Acta Cryst. A 32, 922 (1976), doi 10.1107/S0567739476001873. Weighted by mass, R fulfils Eckart's
        rotational condition.
    """

    @torch.no_grad()
    def rotations(
        self, centred: Positions, reference: Float[Tensor, "atoms 3"], masses: Float[Tensor, " atoms"]
    ) -> Rotations:
        """Kabsch's rotation onto the reference."""
        left, _, right = torch.linalg.svd(centred.mT @ (masses[:, None] * reference))
        sign = torch.linalg.det(left @ right)
        flip = torch.stack((torch.ones_like(sign), torch.ones_like(sign), sign), dim=-1)
        return (left * flip[:, None, :]) @ right

    def reference(self, centred: Positions, masses: Float[Tensor, " atoms"]) -> Float[Tensor, "atoms 3"]:
        """The mean of all configurations, each rotated onto that mean."""
        mean = centred[0]
        for _ in range(_ROUNDS):
            mean = (centred @ self.rotations(centred, mean, masses)).mean(0)
        spread = torch.linalg.svdvals(mean)
        if float(spread[1]) < _FLAT * max(float(spread[0]), 1.0):
            raise DataError(
                "model.orientation=body needs three atoms that are not on one line, or the molecule has no axes of its "
                "own; take model.orientation=lab"
            )
        return mean
