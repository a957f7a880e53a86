"""`DerivativeSamples`: frames with their accelerations, what a field is fitted to without solving an equation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.system import PhaseState, Positions, Velocities


@dataclass(frozen=True, eq=False)
class DerivativeSamples:
    """Frames with the acceleration that the integrator gave them.

    Attributes:
        positions: x(t) [A].
        velocities: v(t) [A/fs].
        accelerations: What is compared with the field, such as (x(t + dt) - 2 x(t) + x(t - dt)) / dt^2 [A/fs^2].
        before: The frames at t - dt, where the field is to be evaluated there too; see `DerivativeMatching`.
        after: Those at t + dt.
        energies: Potential energies [eV], where the file holds them.
    """

    positions: Positions
    velocities: Velocities
    accelerations: Float[Tensor, "batch atoms 3"]
    before: PhaseState | None = None
    after: PhaseState | None = None
    energies: Float[Tensor, " batch"] | None = None

    def __getitem__(self, chosen: slice | Int[Tensor, " chosen"]) -> DerivativeSamples:
        before, after = (
            None if one is None else PhaseState(one.positions[chosen], one.velocities[chosen])
            for one in (self.before, self.after)
        )
        energies = None if self.energies is None else self.energies[chosen]
        return DerivativeSamples(
            self.positions[chosen], self.velocities[chosen], self.accelerations[chosen], before, after, energies
        )

    def to(self, dtype: torch.dtype) -> DerivativeSamples:
        """The same samples in another precision, but for energies, whose differences are small beside them."""
        before, after = (None if one is None else one.to(dtype) for one in (self.before, self.after))
        return DerivativeSamples(
            self.positions.to(dtype),
            self.velocities.to(dtype),
            self.accelerations.to(dtype),
            before,
            after,
            self.energies,
        )
