"""`FrictionField`: any field plus learned friction."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.fields.base import Field
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Accelerations, PhaseState, System, Velocities

_RATE = 1e-3
"""The unit of gamma [1/fs]: a typical thermostat's, so that its parameter is of order one."""

_START = -2.0
"""Where the parameter of a positive gamma starts: 0.13 units."""


class FrictionField(Field):
    """A field with linear friction of its own for each element.

    dv_i/dt = f_i(x, v) - gamma_z v_i

    Solved backward in time, friction accelerates, as it must.

    Args:
        field: f. Its weights are trained too.
        system: The molecule.
        sign: `positive` for gamma = 1e-3 softplus(g) / fs, which takes energy out only; `any` for gamma = 1e-3 g / fs,
            which may heat the molecule as well.
    """

    depends_on_velocity = True
    species: Tensor

    def __init__(self, field: Field, system: System, sign: Literal["positive", "any"] = "positive") -> None:
        super().__init__()
        self.field, self.sign = field, sign
        self.learns_velocity = field.learns_velocity
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        self.register_buffer("species", torch.as_tensor(species), persistent=False)
        self.strength = nn.Parameter(torch.full((len(elements),), _START if sign == "positive" else 0.0))

    @property
    def gamma(self) -> Float[Tensor, " atoms"]:
        """Friction of each atom [1/fs]."""
        rates = nn.functional.softplus(self.strength) if self.sign == "positive" else self.strength
        return _RATE * rates[self.species]

    @override
    def calibrate(self, statistics: MotionStatistics) -> None:
        self.field.calibrate(statistics)

    @override
    def velocity(self, state: PhaseState) -> Velocities:
        return self.field.velocity(state)

    @override
    def rates(self, state: PhaseState) -> tuple[Velocities, Accelerations]:
        velocities, accelerations = self.field.rates(state)
        return velocities, accelerations - self.gamma[:, None] * state.velocities

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        return self.field(state) - self.gamma[:, None] * state.velocities
