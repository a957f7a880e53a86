"""What training minimises: derivative matching, and the error of the solved trajectory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.data.samples import DerivativeSamples
from neuralmd.data.windows import Frames, Part, Window, cut
from neuralmd.errors import DataError
from neuralmd.fields.base import Field
from neuralmd.fields.statistics import acceleration_scale, rms_per_element
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.splines import CubicHermite
from neuralmd.system import Accelerations, Curves, PhaseState, System, Velocities
from neuralmd.training.augmentation import Augmentation, randomly_reversed, unchanged
from neuralmd.training.energies import EnergyMatching

Batch = TypeVar("Batch")

_SMOOTHING = 1e-10
"""Added to the square of a norm, whose derivative else has no limit at zero."""

ALL = slice(None)
"""All members of a batch."""

Projection = Callable[[Accelerations, Velocities, Float[Tensor, "atoms 1"]], Accelerations]
"""Takes a part that the field shall not learn out of a residual, given velocities and masses [amu]."""


class Objective(nn.Module, ABC, Generic[Batch]):
    """Draws batches from the training part and gives the loss of each. Dimensionless, of order one at the start.

    Attributes:
        batch_size: Members of a batch.
    """

    batch_size: int

    @abstractmethod
    def draw(self, generator: torch.Generator, progress: float) -> Batch:
        """A random batch; `progress` in [0, 1] says how much of the stage is done."""

    @abstractmethod
    def forward(self, batch: Batch, rows: slice = ALL) -> Float[Tensor, ""]:
        """What some members of a batch add to its loss; over all members, this sums to the loss."""


def project_out_velocity(
    residual: Accelerations, velocities: Velocities, masses: Float[Tensor, "atoms 1"]
) -> Accelerations:
    """Take out of a residual what a global thermostat can have added.

    r_perp = r - v <r, v> / <v, v>,  <a, b> = sum_i m_i a_i . b_i

    Velocity rescaling and Nose-Hoover add c(t) v(t) to the acceleration, with one unknown number c for each frame.
    """
    momenta = masses * velocities
    friction = (residual * momenta).sum((1, 2)) / (velocities * momenta).sum((1, 2))
    return residual - friction[:, None, None] * velocities


def keep_all(residual: Accelerations, velocities: Velocities, masses: Float[Tensor, "atoms 1"]) -> Accelerations:  # noqa: ARG001
    """Leave the residual as it is: for data without a thermostat."""
    return residual


Loss = Callable[[Float[Tensor, "batch atoms 3"]], Float[Tensor, ""]]
"""One number of all residuals, vectors in units of what is typical."""


def mean_square(residual: Float[Tensor, "batch atoms 3"]) -> Float[Tensor, ""]:
    """L = mean over frames, atoms, components of r^2: the best fit where all residuals are of one size."""
    return residual.square().mean()


def mean_norm(residual: Float[Tensor, "batch atoms 3"]) -> Float[Tensor, ""]:
    """L = mean over frames and atoms of |r|: does not let the few largest residuals decide.

    Its gradient does not shrink with the residuals, so that Adam, whose steps lag behind a gradient that does, stays
    stable at higher learning rates.

    Reference:
        Gasteiger, Becker & Günnemann, GemNet: universal directional graph neural networks for molecules, NeurIPS
        (2021), arXiv:2106.08903: the same for forces.
    """
    return (residual.square().sum(dim=-1) + _SMOOTHING).sqrt().mean()


@dataclass(frozen=True)
class DerivativeSettings:
    """How frames are drawn and compared.

    Attributes:
        batch_size: Frames in a batch.
        loss: `mean_square` or `mean_norm`.
        reversals: Whether frames come with their velocities reversed half of the time; see `randomly_reversed`.
    """

    batch_size: int
    loss: Loss = mean_square
    reversals: bool = False


class DerivativeMatching(Objective[DerivativeSamples]):
    """Fit the field to the second differences of the frames; no ODE is solved.

    L = loss( P[a_theta(x) - a_fd] / s ),
    a_fd(t) = (x(t + dt) - 2 x(t) + x(t - dt)) / dt^2

    with s the RMS acceleration of the atom's element and P the projection. Where the field learns dx/dt too, the loss
    of (dx/dt - v) / s_v is added, with s_v the RMS velocity of the element. Energies can be added, too; see
    `EnergyMatching`.

    Samples may hold other estimates of the acceleration than a_fd, as forces; see `neuralmd.data.derivatives`. For
    samples with neighbours, Numerov's mean (a_theta(x(t + dt)) + 10 a_theta(x(t)) + a_theta(x(t - dt))) / 12 stands in
    the place of a_theta(x(t)): three evaluations each.

    Args:
        field: What learns.
        samples: The training part.
        system: Its atoms.
        projection: `project_out_velocity` for data from a global thermostat, else `keep_all`.
        settings: How frames are drawn and compared.
        energies: What the energies of the frames add to the loss; none to leave them out.
    """

    masses: Tensor
    scale: Tensor
    speed: Tensor

    def __init__(
        self,
        field: Field,
        samples: DerivativeSamples,
        system: System,
        projection: Projection,
        settings: DerivativeSettings,
        *,
        energies: EnergyMatching | None = None,
    ) -> None:
        super().__init__()
        self.field, self.projection, self.settings, self.energies = field, projection, settings, energies
        self.batch_size = settings.batch_size
        dtype = torch.get_default_dtype()
        self.samples = samples.to(dtype)
        self.register_buffer("masses", torch.as_tensor(system.masses, dtype=dtype)[:, None], persistent=False)
        self.register_buffer("scale", acceleration_scale(samples, system).to(dtype)[:, None], persistent=False)
        speed = rms_per_element(samples.velocities, system).to(dtype)[:, None]
        self.register_buffer("speed", speed, persistent=False)

    @override
    def draw(self, generator: torch.Generator, progress: float) -> DerivativeSamples:
        chosen = torch.randint(len(self.samples.positions), (self.batch_size,), generator=generator)
        batch = self.samples[chosen.to(self.samples.positions.device)]
        return randomly_reversed(batch, generator) if self.settings.reversals else batch

    @override
    def forward(self, batch: DerivativeSamples, rows: slice = ALL) -> Float[Tensor, ""]:
        mine = batch[rows]
        moved, accelerations = _rates(self.field, mine)
        residual = self.projection(accelerations - mine.accelerations, mine.velocities, self.masses)
        loss = self.settings.loss(residual / self.scale)
        if self.field.learns_velocity:
            loss = loss + self.settings.loss((moved - mine.velocities) / self.speed)
        if self.energies is not None:
            loss = loss + self.energies(mine)
        part, whole = len(mine.positions), len(batch.positions)
        return loss if part == whole else loss * (part / whole)


def _rates(field: Field, samples: DerivativeSamples) -> tuple[Velocities, Accelerations]:
    """dx/dt at the samples, and what is compared with their accelerations: dv/dt, or Numerov's mean of it."""
    here = PhaseState(samples.positions, samples.velocities)
    if samples.before is None or samples.after is None:
        return field.rates(here)
    every = (samples.before, here, samples.after)
    moved, accelerations = field.rates(
        PhaseState(torch.cat([one.positions for one in every]), torch.cat([one.velocities for one in every]))
    )
    before, at, after = accelerations.chunk(3)
    return moved.chunk(3)[1], (before + 10.0 * at + after) / 12.0


@dataclass(frozen=True)
class TrajectorySettings:
    """How windows are drawn and compared.

    Attributes:
        batch_size: Windows in a batch.
        first_stride: Where the horizon curriculum begins: the stride grows from here to the full one over the first
            half of the stage; none for the full one throughout.
        velocity_weight: Weight of the velocities' error.
        augmentation: What is done to a batch before it is learned from.
    """

    batch_size: int
    first_stride: int | None = None
    velocity_weight: float = 0.0
    augmentation: Augmentation = unchanged


class TrajectoryMatching(Objective[Window]):
    """Fit the path through a gap to the hidden frames, through whatever the interpolator does to make it.

    L = E[x] + w E[v],  E[x] = sum |x_hat(t) - x(t)|^2 / sum |x_H(t) - x(t)|^2 over the hidden frames of a batch

    with x_H the cubic Hermite spline through the same anchors, so that the loss is the share of the spline's squared
    error that remains; E[v] is the same for velocities and w its weight.

    Args:
        interpolator: What learns.
        frames: The trajectory.
        part: The training part of it.
        stride: Frames from anchor to anchor.
        settings: How windows are drawn and compared.

    Raises:
        DataError: If the training part is shorter than a window.
    """

    def __init__(
        self, interpolator: Interpolator, frames: Frames, part: Part, stride: int, settings: TrajectorySettings
    ) -> None:
        super().__init__()
        self.interpolator, self.spline = interpolator, CubicHermite()
        self.frames, self.part, self.stride = frames, part, stride
        self.settings, self.batch_size = settings, settings.batch_size
        self._starts: dict[int, Int[Tensor, " windows"]] = {}
        if len(self._windows(stride)) == 0:
            raise DataError(f"the training part has no window of {stride} frames: lower data.stride or give more")

    @override
    def draw(self, generator: torch.Generator, progress: float) -> Window:
        first = self.settings.first_stride or self.stride
        stride = round(first + (self.stride - first) * min(2.0 * progress, 1.0))
        starts = self._windows(stride)
        chosen = starts[torch.randint(len(starts), (self.settings.batch_size,), generator=generator)]
        wanted = self.interpolator.context, self.interpolator.boundary_frames
        window = cut(self.frames, chosen, stride, torch.get_default_dtype(), *wanted)
        return self.settings.augmentation(window, generator)

    @override
    def forward(self, batch: Window, rows: slice = ALL) -> Float[Tensor, ""]:
        path = self.interpolator(batch.anchors.members(rows), batch.times)
        spline = self.spline(batch.anchors, batch.times)
        loss = _share(path.positions, spline.positions, batch.hidden, rows)
        if self.settings.velocity_weight:
            slip = _share(path.velocities, spline.velocities, batch.hidden_velocities, rows)
            loss = loss + self.settings.velocity_weight * slip
        return loss

    def _windows(self, stride: int) -> Int[Tensor, " windows"]:
        if stride not in self._starts:
            self._starts[stride] = self.part.starts(stride, margin=self.interpolator.boundary_frames - 1)
        return self._starts[stride]


def _share(
    path: Float[Tensor, "time members atoms 3"], spline: Curves, truth: Curves, rows: slice
) -> Float[Tensor, ""]:
    """The squared error of the paths of some members over that of the whole batch's spline."""
    return (path - truth[:, rows]).square().sum() / (spline - truth).square().sum()
