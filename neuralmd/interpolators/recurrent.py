"""Recurrent networks that step from an anchor into the gap: from the first one only, or from both, blended."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.data.anchors import Anchors, Boundary
from neuralmd.data.windows import Frames, Part
from neuralmd.errors import DataError
from neuralmd.interpolators.base import Interpolator, Path, clean_times
from neuralmd.interpolators.blending import Blend, blend
from neuralmd.interpolators.normalisation import Normalisation
from neuralmd.interpolators.orientation import LabFrame, Orientation
from neuralmd.interpolators.recurrent_cells import Architecture, StackedCells
from neuralmd.interpolators.uniform import hermite
from neuralmd.system import Positions, System, Times, Velocities

_ROUNDING = 1e-9


class Rollout(nn.Module):
    """A recurrent network that predicts, step by step, the change of positions and velocities.

    x(t + h) = x(t) + h v(t) + b o_x,  v(t + h) = v(t) + k o_v,  (o_x, o_v) = W (g(u, w, memory), u, w)

    with (u, w) the normalised state, g the network, and b, k each atom's RMS of what it predicts in the training part.
    A step of another length than the data's takes o_v in proportion, and o_x in proportion to its square.

    Args:
        system: The molecule.
        timestep: The data's time step [fs].
        architecture: Kind, width and depth of the network.
        orientation: The axes in which it sees a window.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020), where the
        network predicts the change of position and momentum.
    """

    def __init__(
        self, system: System, timestep: float, architecture: Architecture, orientation: Orientation | None = None
    ) -> None:
        super().__init__()
        state = 6 * system.atoms
        self.timestep = timestep
        self.architecture = architecture
        self.normalisation = Normalisation(system, orientation or LabFrame())
        self.cells = StackedCells(state, architecture)
        self.readout = nn.Linear(architecture.width + state, state)

    def forward(self, seen: Boundary, steps: int, step: float) -> Path:
        """The states after 0, 1, ... steps.

        Args:
            seen: The frames up to and including the one that the path starts from; all but it warm the memory up.
            steps: How many steps.
            step: Length of a step [fs].
        """
        units, ratio = self.normalisation, step / self.timestep
        axes = units.axes(seen.positions[-1])
        us, ws = units.positions(axes, seen.positions), units.velocities(axes, seen.velocities)
        memory = self.cells.blank()
        for u, w in zip(us[:-1], ws[:-1], strict=True):
            _, memory = self.cells(_features(u, w), memory)
        u, w = us[-1], ws[-1]
        moved, gained = [torch.zeros_like(u)], [torch.zeros_like(w)]
        for _ in range(steps):
            features = _features(u, w)
            hidden, memory = self.cells(features, memory)
            change = self.readout(torch.cat((hidden, features), dim=1)).unflatten(1, (2, *u.shape[1:]))
            move = step * units.speed * w + ratio**2 * units.bend * change[:, 0]
            gain = ratio * units.kick * change[:, 1]
            u, w = u + move / units.displacement, w + gain / units.speed
            moved.append(moved[-1] + move)
            gained.append(gained[-1] + gain)
        return Path(
            seen.positions[-1] + axes.back(torch.stack(moved)),
            seen.velocities[-1] + axes.back(torch.stack(gained)),
        )


class ForwardRNN(Interpolator):
    """A recurrent network that starts at the first anchor; the second is never seen.

    Args:
        rollout: The network.
        boundary_frames: Consecutive fine frames that it reads up to the anchor.
    """

    def __init__(self, rollout: Rollout, boundary_frames: int = 1) -> None:
        super().__init__()
        self.rollout = rollout
        self.boundary_frames = boundary_frames

    def fit_normalisation(self, frames: Frames, part: Part) -> None:
        """Take the units of input and output from the training part; see `Normalisation.fit`."""
        self.rollout.normalisation.fit(frames, part)

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The states after the steps and the cubics between them; see `Interpolator.forward`."""
        exact = clean_times(times, anchors.gap)
        step = step_length(anchors.gap, self.rollout.timestep)
        knots = self.rollout(before(anchors, self.boundary_frames), _steps(float(exact[-1]), step), step)
        return hermite(knots, step, exact)


class BackwardRNN(Interpolator):
    """A recurrent network that starts at the second anchor, with time and momenta reversed; the first is never seen.

    Args:
        rollout: The network.
        boundary_frames: Consecutive fine frames that it reads from the anchor on.
    """

    def __init__(self, rollout: Rollout, boundary_frames: int = 1) -> None:
        super().__init__()
        self.rollout = rollout
        self.boundary_frames = boundary_frames

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The states after the steps and the cubics between them; see `Interpolator.forward`."""
        exact, gap = clean_times(times, anchors.gap), anchors.gap
        step = step_length(gap, self.rollout.timestep)
        reversed_frames = _reversed(after(anchors, self.boundary_frames))
        knots = self.rollout(reversed_frames, _steps(gap - float(exact[0]), step), step)
        return _in_time(hermite(knots, step, (gap - exact).flip(0)))


class BidirectionalRNN(Interpolator):
    """The same network from both anchors, backward with time and momenta reversed, and the two solutions joined.

    x_hat(t) = (1 - lambda(t)) x_fwd(t) + lambda(t) x_bwd(t)

    Args:
        rollout: The network; one for both directions.
        blend: lambda.
        boundary_frames: Consecutive fine frames that it reads up to the first anchor, and from the second on.

    Reference:
        Winkler & Sauceda, Interpolation of Molecular Dynamics with Bi-Directional Neural Networks (2020).
    """

    def __init__(self, rollout: Rollout, blend: Blend, boundary_frames: int = 1) -> None:
        super().__init__()
        self.rollout = rollout
        self.blend = blend
        self.boundary_frames = boundary_frames

    def fit_normalisation(self, frames: Frames, part: Part) -> None:
        """Take the units of input and output from the training part; see `Normalisation.fit`."""
        self.rollout.normalisation.fit(frames, part)

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The blend and its derivative; see `Interpolator.forward`."""
        forward, backward = self.solutions(anchors, times)
        s = clean_times(times, anchors.gap) / anchors.gap
        return blend(forward, backward, self.blend.weight(s), self.blend.rate(s) / anchors.gap)

    def solutions(self, anchors: Anchors, times: Times) -> tuple[Path, Path]:
        """The forward and the backward solution at the given times, both in order of increasing time.

        Raises:
            DataError: If the times do not lie in [0, gap] in increasing order, or boundary frames are missing.
        """
        exact, gap = clean_times(times, anchors.gap), anchors.gap
        step = step_length(gap, self.rollout.timestep)
        ahead, back = before(anchors, self.boundary_frames), _reversed(after(anchors, self.boundary_frames))
        both = Boundary(
            torch.cat((ahead.positions, back.positions), dim=1), torch.cat((ahead.velocities, back.velocities), dim=1)
        )
        knots = self.rollout(both, _steps(max(float(exact[-1]), gap - float(exact[0])), step), step)
        batch = len(anchors.start.positions)
        forward = hermite(_part(knots, slice(batch)), step, exact)
        reverse = hermite(_part(knots, slice(batch, None)), step, (gap - exact).flip(0))
        return forward, _in_time(reverse)


def step_length(gap: float, timestep: float) -> float:
    """The length of equal steps through a gap that is closest to the data's time step [fs]."""
    return gap / max(1, round(gap / timestep))


def before(anchors: Anchors, count: int) -> Boundary:
    """The last `count` known frames up to and including the first anchor.

    Raises:
        DataError: If there are fewer.
    """
    if count == 1:
        return Boundary(anchors.start.positions[None], anchors.start.velocities[None])
    known = _require(anchors.before, count)
    return Boundary(known.positions[-count:], known.velocities[-count:])


def after(anchors: Anchors, count: int) -> Boundary:
    """The first `count` known frames from the second anchor on.

    Raises:
        DataError: If there are fewer.
    """
    if count == 1:
        return Boundary(anchors.end.positions[None], anchors.end.velocities[None])
    known = _require(anchors.after, count)
    return Boundary(known.positions[:count], known.velocities[:count])


def _require(known: Boundary | None, count: int) -> Boundary:
    came = 1 if known is None else len(known.positions)
    if known is None or came < count:
        raise DataError(
            f"the network reads {count} consecutive fine frames at each anchor, but {came} came: cut windows with the "
            "boundary frames that it asks for, or train with model.boundary_frames=1"
        )
    return known


def _reversed(known: Boundary) -> Boundary:
    """Frames as they are if time runs backward."""
    return Boundary(known.positions.flip(0), known.velocities.flip(0).neg())


def _in_time(backward: Path) -> Path:
    """A solution along which time runs backward, in order of increasing time."""
    return Path(backward.positions.flip(0), backward.velocities.flip(0).neg())


def _steps(time: float, step: float) -> int:
    return max(1, math.ceil(time / step - _ROUNDING))


def _part(knots: Path, rows: slice) -> Path:
    return Path(knots.positions[:, rows], knots.velocities[:, rows])


def _features(u: Positions, w: Velocities) -> Float[Tensor, "batch features"]:
    return torch.cat((u.flatten(1), w.flatten(1)), dim=1)
