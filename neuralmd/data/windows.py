"""Parts of a trajectory in time order, frames as tensors, and the windows that are cut from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuralmd.data.anchors import Anchors, Boundary
from neuralmd.data.samples import DerivativeSamples
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError
from neuralmd.system import Curves, PhaseState, Positions, System, Times, Velocities
from neuralmd.units import ACCELERATION


@dataclass(frozen=True)
class Part:
    """A part of a trajectory (training, validation or test): ranges of frames, none across a segment boundary."""

    ranges: tuple[range, ...]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return sum(len(stretch) for stretch in self.ranges)

    def first(self, count: int) -> Part:
        """The first frames of the part, no more than `count`."""
        before = np.cumsum([0, *map(len, self.ranges)]).tolist()
        kept = (stretch[: max(count - start, 0)] for stretch, start in zip(self.ranges, before, strict=False))
        return Part(tuple(stretch for stretch in kept if stretch))

    def starts(self, stride: int, spacing: int = 1, margin: int = 0) -> Int[Tensor, " windows"]:
        """First frames of all windows of this stride, `spacing` frames from one to the next.

        Windows with fewer than `margin` frames of their stretch on either side are left out.
        """
        each = [
            np.arange(stretch.start + -(-margin // spacing) * spacing, stretch.stop - stride - margin, spacing)
            for stretch in self.ranges
        ]
        return torch.as_tensor(np.concatenate(each) if each else np.zeros(0, dtype=np.int64))


def spread(starts: Int[Tensor, " windows"], most: int) -> Int[Tensor, " some"]:
    """No more than so many of the windows, spread evenly over all of them."""
    return starts[torch.linspace(0, len(starts) - 1, min(len(starts), most)).long()]


@dataclass(frozen=True)
class Split:
    """The parts of a trajectory, in order of time and with a purge gap between them."""

    train: Part
    validation: Part
    test: Part


def split(segments: tuple[Segment, ...], train: float = 0.7, validation: float = 0.1, purge: int = 100) -> Split:
    """Divide every segment in time: first training, then validation, then test, `purge` frames apart.

    Args:
        segments: Each is divided by itself, since each is a time series of its own.
        train: Share of a segment's frames, less the two purge gaps, that trains.
        validation: Share that validates; the rest tests.
        purge: Frames left out between two parts.

    Raises:
        DataError: If no segment is long enough to leave a frame for each part.
    """
    parts: tuple[list[range], list[range], list[range]] = ([], [], [])
    for segment in segments:
        usable = segment.length - 2 * purge
        trained, validated = round(usable * train), round(usable * validation)
        if min(trained, validated, usable - trained - validated) < 1:
            continue
        first = segment.start
        second = first + trained + purge
        third = second + validated + purge
        parts[0].append(range(first, first + trained))
        parts[1].append(range(second, second + validated))
        parts[2].append(range(third, segment.stop))
    if not parts[0]:
        longest = max(segment.length for segment in segments)
        raise DataError(
            f"no segment can be split into training, validation and test with {purge} frames between them: the longest "
            f"has {longest} frames; give a longer trajectory or lower data.purge"
        )
    return Split(*(Part(tuple(ranges)) for ranges in parts))


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of a trajectory as tensors.

    Attributes:
        system: The atoms.
        segments: The stretches that are uniform in time.
        timestep: Time from frame to frame [fs].
        positions: x [A].
        velocities: v [A/fs].
        accelerations: F/m [A/fs^2], where the file holds forces.
        energies: Potential energies [eV], where it holds those.
    """

    system: System
    segments: tuple[Segment, ...]
    timestep: float
    positions: Positions
    velocities: Velocities
    accelerations: Float[Tensor, "frames atoms 3"] | None
    energies: Float[Tensor, " frames"] | None = None

    def __repr__(self) -> str:
        forces = "" if self.accelerations is None else ", with forces"
        return f"Frames({self.system.formula}, {len(self.positions)} frames, dt {self.timestep:.4g} fs{forces})"

    def energies_at(self, index: Int[Tensor, " some"]) -> Float[Tensor, " some"] | None:
        """Potential energies of some frames [eV], where there are any."""
        return None if self.energies is None else self.energies[index]

    @classmethod
    def of(
        cls, trajectory: Trajectory, device: torch.device | None = None, *, velocities_needed: bool = True
    ) -> Frames:
        """The frames in double precision. Velocities that are missing and not needed are NaN.

        Raises:
            DataError: If the trajectory has no velocities and they are needed.
        """
        velocities = trajectory.velocities
        if velocities is None and not velocities_needed:
            velocities = np.full_like(trajectory.positions, np.nan)
        if velocities is None:
            raise DataError(
                "the trajectory holds no velocities: derive them with data.velocities=central (train, evaluate) or "
                "`neuralmd thin --velocities central` (a file), or take a method that needs none (linear, cubic_spline)"
            )
        forces, energies = trajectory.forces, trajectory.energies
        masses = trajectory.system.masses[:, None]
        return cls(
            system=trajectory.system,
            segments=trajectory.segments,
            timestep=trajectory.timestep,
            positions=torch.as_tensor(trajectory.positions, dtype=torch.float64, device=device),
            velocities=torch.as_tensor(velocities, dtype=torch.float64, device=device),
            accelerations=None
            if forces is None
            else torch.as_tensor(forces * ACCELERATION / masses, dtype=torch.float64, device=device),
            energies=None if energies is None else torch.as_tensor(energies, dtype=torch.float64, device=device),
        )


@dataclass(frozen=True, eq=False)
class Window:
    """A batch of gaps whose hidden frames are known.

    Attributes:
        anchors: The known frames at either end.
        times: Times of the hidden frames after the first anchor [fs].
        hidden: Positions of the hidden frames [A].
        hidden_velocities: Velocities of the hidden frames [A/fs].
    """

    anchors: Anchors
    times: Times
    hidden: Curves
    hidden_velocities: Curves

    def __repr__(self) -> str:
        return f"Window({self.anchors}, {len(self.times)} hidden frames)"


def cut(
    frames: Frames,
    starts: Int[Tensor, " batch"],
    stride: int,
    dtype: torch.dtype,
    context: int = 0,
    boundary: int = 1,
) -> Window:
    """The windows that begin at the given frames.

    Args:
        frames: Where from.
        starts: Index of each window's first anchor.
        stride: Frames from one anchor to the next.
        dtype: Precision of what comes out.
        context: Number of known frames wanted beyond each anchor.
        boundary: Number of consecutive fine frames wanted at each anchor, the anchor included.

    Raises:
        DataError: If a window lies too close to a segment's end for its boundary frames.
    """
    inside = (starts + torch.arange(1, stride)[:, None]).to(frames.positions.device)
    first, last = starts.to(inside.device), (starts + stride).to(inside.device)
    accelerations = frames.accelerations
    anchors = Anchors(
        start=PhaseState(frames.positions[first], frames.velocities[first]).to(dtype),
        end=PhaseState(frames.positions[last], frames.velocities[last]).to(dtype),
        gap=stride * frames.timestep,
        start_acceleration=None if accelerations is None else accelerations[first].to(dtype),
        end_acceleration=None if accelerations is None else accelerations[last].to(dtype),
        context=_context(frames, starts, stride, context).to(dtype) if context else None,
        before=_boundary(frames, starts, range(1 - boundary, 1), dtype) if boundary > 1 else None,
        after=_boundary(frames, starts + stride, range(boundary), dtype) if boundary > 1 else None,
    )
    return Window(
        anchors=anchors,
        times=torch.arange(1, stride, dtype=dtype, device=inside.device) * frames.timestep,
        hidden=frames.positions[inside].to(dtype),
        hidden_velocities=frames.velocities[inside].to(dtype),
    )


def _boundary(frames: Frames, anchors: Int[Tensor, " batch"], offsets: range, dtype: torch.dtype) -> Boundary:
    wanted = anchors + torch.arange(offsets.start, offsets.stop)[:, None]
    whole = torch.zeros_like(anchors, dtype=torch.bool)
    for segment in frames.segments:
        whole |= ((wanted >= segment.start) & (wanted < segment.stop)).all(0)
    if not bool(whole.all()):
        raise DataError(
            f"{len(offsets)} consecutive fine frames are wanted at each anchor, but a window lies closer than that to "
            "its segment's end"
        )
    index = wanted.to(frames.positions.device)
    return Boundary(frames.positions[index].to(dtype), frames.velocities[index].to(dtype))


def _context(
    frames: Frames, starts: Int[Tensor, " batch"], stride: int, count: int
) -> Float[Tensor, "knots batch atoms 3"]:
    """Every stride-th frame around each window; beyond a segment's end the series goes on by odd reflection.

    x(t_end + k gap) = 2 x(t_end) - x(t_end - k gap)

    An odd reflection has no curvature at t_end, so a cubic spline through it is the natural spline of the segment.
    """
    offsets = torch.arange(-count, count + 2)[:, None] * stride
    wanted = starts + offsets
    lowest, highest = torch.empty_like(starts), torch.empty_like(starts)
    for segment in frames.segments:
        inside = (starts >= segment.start) & (starts < segment.stop)
        lowest[inside] = segment.start + (starts[inside] - segment.start) % stride
        highest[inside] = starts[inside] + (segment.stop - 1 - starts[inside]) // stride * stride
    end = torch.where(wanted < lowest, lowest, torch.where(wanted > highest, highest, wanted))
    mirrored = torch.minimum(torch.maximum(2 * end - wanted, lowest), highest)
    positions, device = frames.positions, frames.positions.device
    return torch.where(
        (wanted == end).to(device)[..., None, None],
        positions[end.to(device)],
        2 * positions[end.to(device)] - positions[mirrored.to(device)],
    )


def derivative_samples(frames: Frames, part: Part) -> DerivativeSamples:
    """Every frame of the part that has both neighbours in it, with its second difference.

    a_fd(t) = (x(t + dt) - 2 x(t) + x(t - dt)) / dt^2

    For velocity-Verlet data this is F/m at x(t), plus what a thermostat adds.

    Raises:
        DataError: If no frame of the part has both neighbours.
    """
    inner = [torch.arange(stretch.start + 1, stretch.stop - 1) for stretch in part.ranges if len(stretch) > 2]
    if not inner:
        raise DataError("second differences need three frames in a row, and the training part has none")
    index = torch.cat(inner).to(frames.positions.device)
    x = frames.positions
    return DerivativeSamples(
        x[index],
        frames.velocities[index],
        (x[index + 1] - 2 * x[index] + x[index - 1]) / frames.timestep**2,
        energies=frames.energies_at(index),
    )
