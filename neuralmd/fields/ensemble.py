"""`EnsembleField`: the mean of several fields, each of which learns by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.errors import ConfigError
from neuralmd.fields.base import Field
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.system import Accelerations, PhaseState, Velocities


class EnsembleField(Field):
    """The mean of M fields of the same kind with weights of their own.

    a(x) = 1/M sum_m a_m(x)

    Where little data leave much of a field open, fields that start from other weights and see the data in another order
    err in different ways. With b what all err by alike, and s^2 the variance of one about their mean,

    <|a - a_true|^2> = b^2 + s^2 / M.

    The gain is lost where the error of the mean is minimised, as members may then err at will as long as others make
    up for it: a training minimises the mean of the members' own losses, each on batches of its own (`Separately`). An
    evaluation costs M evaluations of a member. It has the symmetries that all members have.

    Args:
        members: The fields.

    Raises:
        ConfigError: If there is none, or if they differ in what a solver must know of them.

    Reference:
        B. Lakshminarayanan, A. Pritzel & C. Blundell, Simple and scalable predictive uncertainty estimation using deep
        ensembles, NeurIPS 30 (2017), arXiv 1612.01474; A. Krogh & J. Vedelsby, Neural network ensembles, cross
        validation, and active learning, NeurIPS 7 (1995) 231, eq. 6.
    """

    def __init__(self, members: Sequence[Field]) -> None:
        super().__init__()
        kinds = {(one.depends_on_velocity, one.learns_velocity) for one in members}
        if len(kinds) != 1:
            raise ConfigError(
                "an ensemble needs members that agree on whether they read or learn velocities, but has "
                f"{len(members)} of {len(kinds)} kinds"
            )
        self.depends_on_velocity, self.learns_velocity = kinds.pop()
        self.fields = nn.ModuleList(members)

    def __repr__(self) -> str:
        return f"EnsembleField({len(self.fields)} of {self.members[0]})"

    @property
    def members(self) -> list[Field]:
        """The fields."""
        return [one for one in self.fields if isinstance(one, Field)]

    @override
    def calibrate(self, statistics: MotionStatistics) -> None:
        for one in self.members:
            one.calibrate(statistics)

    @override
    def velocity(self, state: PhaseState) -> Velocities:
        if not self.learns_velocity:
            return state.velocities
        return torch.stack([one.velocity(state) for one in self.members]).mean(0)

    @override
    def rates(self, state: PhaseState) -> tuple[Velocities, Accelerations]:
        each = [one.rates(state) for one in self.members]
        return torch.stack([v for v, _ in each]).mean(0), torch.stack([a for _, a in each]).mean(0)

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        return torch.stack([one(state) for one in self.members]).mean(0)

    def disagreement(self, state: PhaseState) -> Float[Tensor, " batch"]:
        """s^2 of the accelerations, the mean over atoms and components [A^2/fs^4].

        s^2 = 1 / (M - 1) sum_m |a_m - a|^2
        """
        each = torch.stack([one(state) for one in self.members])
        return each.var(0).mean((1, 2))
