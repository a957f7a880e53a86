"""`EnergyMatching`: what the stored energies add to the loss of a field that has an energy."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.data.samples import DerivativeSamples
from neuralmd.errors import DataError
from neuralmd.fields.conservative import ConservativeField


class EnergyMatching(nn.Module):
    """The error of the field's energies, each told from that of one frame, since an energy has no zero.

    L_E = w mean over frames of ( (E_theta(x) - E_theta(x_0) - E + E_0) / s )^2

    with w the weight, s the standard deviation of the energies of the training part, and x_0 its frame whose energy is
    closest to their mean. Energies are of the potential, which a thermostat does not touch.

    Args:
        field: What learns.
        samples: The training part, with energies.
        weight: w.

    Raises:
        DataError: If there are no energies, or they are all the same.
    """

    origin: Tensor
    zero: Tensor

    def __init__(self, field: ConservativeField, samples: DerivativeSamples, weight: float) -> None:
        super().__init__()
        if samples.energies is None:
            raise DataError(
                "the file holds no energies, but training.stages has an energy_weight: take energy_weight: 0, or give "
                "a file with potential energies"
            )
        self.field, self.weight = field, weight
        self.spread = float(samples.energies.std(correction=0))
        if not self.spread > 0:
            raise DataError(
                "the energies of the training part are all the same: take training.stages energy_weight: 0, or give a "
                "longer trajectory"
            )
        nearest = (samples.energies - samples.energies.mean()).abs().argmin()
        self.register_buffer("origin", samples.positions[nearest, None], persistent=False)
        self.register_buffer("zero", samples.energies[nearest], persistent=False)

    def forward(self, samples: DerivativeSamples) -> Float[Tensor, ""]:
        """The loss of some frames of the training part."""
        if samples.energies is None:
            raise ValueError("the samples hold no energies")
        found = self.field.energy(torch.cat((samples.positions, self.origin.to(samples.positions))))
        true = (samples.energies - self.zero).to(found)
        return self.weight * ((found[:-1] - found[-1] - true) / self.spread).square().mean()
