"""What is done to a batch of windows or frames before it is learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.data.anchors import Anchors, Boundary
from neuralmd.data.samples import DerivativeSamples
from neuralmd.data.windows import Window
from neuralmd.system import PhaseState

Augmentation = Callable[[Window, torch.Generator], Window]
"""Makes other windows, as true as the given ones, out of them."""


def unchanged(window: Window, generator: torch.Generator) -> Window:  # noqa: ARG001
    """The windows as they are."""
    return window


def randomly_rotated(window: Window, generator: torch.Generator) -> Window:
    """Every window of the batch turned by a rotation of its own, uniform over all rotations.

    x -> x R^T, v -> v R^T, a -> a R^T: physics does not know how a molecule lies, but a network that is not equivariant
    has to learn it.
    """
    rotations = random_rotations(window.anchors.start.positions, generator)
    anchors = window.anchors
    return replace(
        window,
        anchors=Anchors(
            start=_turned_state(anchors.start, rotations),
            end=_turned_state(anchors.end, rotations),
            gap=anchors.gap,
            start_acceleration=_turned(anchors.start_acceleration, rotations),
            end_acceleration=_turned(anchors.end_acceleration, rotations),
            context=_turned(anchors.context, rotations),
            before=_turned_boundary(anchors.before, rotations),
            after=_turned_boundary(anchors.after, rotations),
        ),
        hidden=window.hidden @ rotations.mT,
        hidden_velocities=window.hidden_velocities @ rotations.mT,
    )


def randomly_reversed(samples: DerivativeSamples, generator: torch.Generator) -> DerivativeSamples:
    """Every frame as it is or, with a chance of one half, as it is in the film that runs backward.

    v -> -v, while x and a stay: physics does not know which way time runs, but a field that reads velocities has to
    learn it.
    """
    chance = torch.randint(2, (len(samples.positions),), generator=generator).to(samples.velocities)
    sign = (1.0 - 2.0 * chance)[:, None, None]
    before, after = (
        None if one is None else PhaseState(one.positions, sign * one.velocities)
        for one in (samples.before, samples.after)
    )
    return replace(samples, velocities=sign * samples.velocities, before=before, after=after)


def random_rotations(like: Float[Tensor, "batch atoms 3"], generator: torch.Generator) -> Float[Tensor, "batch 3 3"]:
    """A uniformly random rotation for each configuration: that of a uniformly random unit quaternion.

    Reference:
        Shoemake, Uniform random rotations, Graphics Gems III (1992).
    """
    numbers = torch.randn((len(like), 4), generator=generator, dtype=torch.float64)
    w, x, y, z = torch.nn.functional.normalize(numbers, dim=1).unbind(1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1).to(like)


def _turned_state(state: PhaseState, rotations: Float[Tensor, "batch 3 3"]) -> PhaseState:
    return PhaseState(state.positions @ rotations.mT, state.velocities @ rotations.mT)


def _turned(vectors: Tensor | None, rotations: Float[Tensor, "batch 3 3"]) -> Tensor | None:
    return None if vectors is None else vectors @ rotations.mT


def _turned_boundary(boundary: Boundary | None, rotations: Float[Tensor, "batch 3 3"]) -> Boundary | None:
    if boundary is None:
        return None
    return Boundary(boundary.positions @ rotations.mT, boundary.velocities @ rotations.mT)
