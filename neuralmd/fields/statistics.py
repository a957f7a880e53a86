"""`MotionStatistics`: how the atoms of the training part are placed and move, the units of a network's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.data.samples import DerivativeSamples
from neuralmd.errors import DataError
from neuralmd.system import System


@dataclass(frozen=True, eq=False)
class MotionStatistics:
    """The mean structure, and root mean squares over frames, components and the atoms of an element.

    Attributes:
        structure: Mean positions relative to the centre of mass [A].
        displacement: Of the displacement from `structure` [A].
        speed: Of a velocity's component [A/fs].
        acceleration: Of an acceleration's component [A/fs^2].
    """

    structure: Float[Tensor, "atoms 3"]
    displacement: Float[Tensor, " atoms"]
    speed: Float[Tensor, " atoms"]
    acceleration: Float[Tensor, " atoms"]

    @classmethod
    def of(cls, samples: DerivativeSamples, system: System) -> Self:
        """The statistics of a training part.

        Raises:
            DataError: If an element never accelerates.
        """
        acceleration = acceleration_scale(samples, system)
        masses = torch.as_tensor(system.masses, dtype=samples.positions.dtype, device=samples.positions.device)
        centre = torch.einsum("fac,a->fc", samples.positions, masses / masses.sum())
        relative = samples.positions - centre[:, None]
        structure = relative.mean(dim=0)
        displacement = rms_per_element(relative - structure, system)
        # A lone atom never leaves its centre of mass; any unit will do for a displacement that is zero.
        displacement = torch.where(displacement > 0, displacement, torch.ones_like(displacement))
        return cls(structure, displacement, rms_per_element(samples.velocities, system), acceleration)


def acceleration_scale(samples: DerivativeSamples, system: System) -> Float[Tensor, " atoms"]:
    """Root mean square acceleration of each atom's element [A/fs^2], the unit in which a field gives its output.

    Raises:
        DataError: If an element never accelerates.
    """
    scale = rms_per_element(samples.accelerations, system)
    if not bool((scale > 0).all() and scale.isfinite().all()):
        raise DataError("an element never accelerates in the training part, so its motion cannot be learned")
    return scale


def rms_per_element(vectors: Float[Tensor, "frames atoms 3"], system: System) -> Float[Tensor, " atoms"]:
    """For each atom, the root mean square over frames, components and all atoms of its element."""
    numbers = torch.as_tensor(system.atomic_numbers, device=vectors.device)
    rms = torch.empty(system.atoms, dtype=torch.float64, device=vectors.device)
    for number in numbers.unique():
        of_element = numbers == number
        rms[of_element] = vectors[:, of_element].square().mean().sqrt().double()
    return rms
