"""What a field can be fitted to without solving an equation: second differences of frames, or stored forces."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import torch
from jaxtyping import Int
from torch import Tensor

from neuralmd.data.samples import DerivativeSamples
from neuralmd.data.stencils import REACH, SECOND, combine
from neuralmd.data.windows import Frames, Part, derivative_samples
from neuralmd.errors import DataError
from neuralmd.system import PhaseState


class Difference(StrEnum):
    """How the acceleration at a frame is read off the frames around it."""

    VERLET = "verlet"
    """(x(t + dt) - 2 x(t) + x(t - dt)) / dt^2: what a Verlet integrator of step dt did, to the last bit."""

    SEVEN_POINT = "seven_point"
    """The second derivative of the polynomial through seven frames: the true one but for dt^6 / 560 x^(8)."""

    NUMEROV = "numerov"
    """As `VERLET`, but compared with a mean of the field at three frames: exact but for dt^4 / 240 x^(6)."""


def difference_samples(frames: Frames, part: Part, difference: Difference) -> DerivativeSamples:
    """Every frame of the part whose neighbours are in it, with its acceleration by differences of positions.

    Where frames are every n-th step of a finer integrator, a second difference is not the acceleration, but

    (x(t + dt) - 2 x(t) + x(t - dt)) / dt^2 = a + dt^2/12 a'' + O(dt^4) = (a(t + dt) + 10 a + a(t - dt)) / 12 + O(dt^4)

    `SEVEN_POINT` removes the error from the left side, `NUMEROV` compares with the right side: its samples hold their
    neighbours. Noise of single steps, as a thermostat makes it, goes over seven frames or three.

    Raises:
        DataError: If no frame of the part has its neighbours.

    Reference:
        B. Numerov, Astron. Nachr. 230, 359 (1927); E. Hairer, S. P. Norsett & G. Wanner, Solving Ordinary Differential
        Equations I, Springer (1993), III.10.
    """
    match difference:
        case Difference.VERLET:
            return derivative_samples(frames, part)
        case Difference.SEVEN_POINT:
            index, x = _inner(frames, part, REACH), frames.positions
            accelerations = combine(SECOND, lambda k: x[index + k]) / frames.timestep**2
            energies = frames.energies_at(index)
            return DerivativeSamples(x[index], frames.velocities[index], accelerations, energies=energies)
        case Difference.NUMEROV:
            index, x, v = _inner(frames, part, 1), frames.positions, frames.velocities
            accelerations = (x[index + 1] - 2 * x[index] + x[index - 1]) / frames.timestep**2
            before, after = (PhaseState(x[index + k], v[index + k]) for k in (-1, 1))
            return DerivativeSamples(x[index], v[index], accelerations, before, after, frames.energies_at(index))
        case _:
            assert_never(difference)


def force_samples(frames: Frames, part: Part) -> DerivativeSamples:
    """Every frame of the part with F/m, which no thermostat has touched.

    Raises:
        DataError: If the frames have no forces.
    """
    if frames.accelerations is None:
        raise DataError(
            "the file holds no forces, but training.stages has target: forces; take target: differences, which needs "
            "positions only"
        )
    index = _inner(frames, part, 0)
    return DerivativeSamples(
        frames.positions[index],
        frames.velocities[index],
        frames.accelerations[index],
        energies=frames.energies_at(index),
    )


def _inner(frames: Frames, part: Part, reach: int) -> Int[Tensor, " inner"]:
    """The frames of a part that have so many neighbours of it on either side."""
    whole = [stretch for stretch in part.ranges if len(stretch) > 2 * reach]
    if not whole:
        raise DataError(f"the training part has nowhere {2 * reach + 1} frames in a row, as its differences need")
    inner = [torch.arange(stretch.start + reach, stretch.stop - reach) for stretch in whole]
    return torch.cat(inner).to(frames.positions.device)
