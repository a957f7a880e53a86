"""`AccelerationReadout`: from the vectors of an equivariant network to accelerations."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.fields.constant import Constant
from neuralmd.system import Accelerations, System


class AccelerationReadout(nn.Module):
    """One vector per atom, in units of its typical acceleration.

    a_i = s_i o_i - sum_j m_j s_j o_j / sum_j m_j,  o_i = W h_i^(1o)

    The second term takes the net force off the centre of mass.

    Attributes:
        scale: s_i, the typical acceleration of atom i [A/fs^2]; 1 before a calibration.

    Args:
        system: The molecule.
        channels: Number of vectors that come in for each atom.
        zero_net_force: Whether the centre of mass is left alone.
    """

    scale: Tensor

    def __init__(self, system: System, channels: int, *, zero_net_force: bool) -> None:
        super().__init__()
        self.zero_net_force = zero_net_force
        self._mass_share = Constant(torch.as_tensor(system.masses / system.masses.sum())[:, None])
        self.register_buffer("scale", torch.ones(system.atoms))
        self.weights = nn.Parameter(torch.randn(channels) / channels**0.5)

    def forward(self, vectors: Float[Tensor, "batch 3 atoms channels"]) -> Accelerations:
        """The accelerations [A/fs^2]."""
        accelerations = (vectors @ self.weights).transpose(1, 2) * self.scale[:, None]
        if self.zero_net_force:
            share = self._mass_share.like(accelerations)
            accelerations = accelerations - (share * accelerations).sum(dim=1, keepdim=True)
        return accelerations
