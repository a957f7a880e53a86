"""A recurrent network that reads a whole gap in both directions, with both anchors in view at every step."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.data.anchors import Anchors, Boundary
from neuralmd.data.windows import Frames, Part, cut, spread
from neuralmd.interpolators.base import Interpolator, Path, clean_times
from neuralmd.interpolators.normalisation import Axes, Normalisation
from neuralmd.interpolators.orientation import LabFrame, Orientation
from neuralmd.interpolators.recurrent import after, before, step_length
from neuralmd.interpolators.recurrent_cells import Architecture, both_ways
from neuralmd.interpolators.splines import CubicHermite
from neuralmd.interpolators.uniform import derivative_matrix, hermite
from neuralmd.system import Curves, System, Times

_FITTED_WINDOWS = 2000


class WholeGapRNN(Interpolator):
    """The cubic Hermite spline, corrected by a bidirectional recurrent network.

    x_hat(t) = x_H(t) + B(s) o(t),  B(s) = 16 s^2 (1 - s)^2,  s = t / gap

    At each step the network reads both anchors, s, and the spline; o goes smoothly through what it gives at the steps.
    B vanishes with its slope at both anchors, as the spline's error does, so positions and velocities are met exactly.

    Args:
        system: The molecule.
        timestep: The data's time step, the network's step [fs].
        architecture: Kind, width and depth of the network.
        orientation: The axes in which it sees a window: those of the first anchor.
        boundary_frames: Consecutive fine frames that it reads up to the first anchor, and from the second on.
    """

    correction: Tensor
    fitted_gap: Tensor

    def __init__(
        self,
        system: System,
        timestep: float,
        architecture: Architecture,
        orientation: Orientation | None = None,
        boundary_frames: int = 1,
    ) -> None:
        super().__init__()
        state = 6 * system.atoms
        self.timestep = timestep
        self.architecture = architecture
        self.boundary_frames = boundary_frames
        self.spline = CubicHermite()
        self.normalisation = Normalisation(system, orientation or LabFrame())
        self.network = both_ways(3 * state + 1, architecture)
        self.readout = nn.Linear(2 * architecture.width + 3 * state, 3 * system.atoms)
        self.register_buffer("correction", torch.ones(system.atoms, 1))
        self.register_buffer("fitted_gap", torch.tensor(1.0))

    @torch.no_grad()
    def fit_normalisation(self, frames: Frames, part: Part, stride: int) -> None:
        """Take the units of input and output from the training part: o in units of the spline's error at this stride.

        Raises:
            DataError: If an atom never moves there.
        """
        self.normalisation.fit(frames, part)
        starts = part.starts(stride)
        chosen = spread(starts, _FITTED_WINDOWS)
        window = cut(frames, chosen, stride, torch.float64)
        missed = window.hidden - self.spline(window.anchors, window.times).positions
        share = missed / _bump(window.times / window.anchors.gap)
        self.correction.copy_(share.square().mean((0, 1, 3))[:, None].sqrt())
        self.fitted_gap.fill_(window.anchors.gap)

    def forward(self, anchors: Anchors, times: Times) -> Path:
        """The corrected spline and its derivative; see `Interpolator.forward`."""
        exact, gap = clean_times(times, anchors.gap), anchors.gap
        step = step_length(gap, self.timestep)
        spline = self.spline(anchors, times)
        knots = self._knots(anchors, step)
        slopes = torch.einsum("kj,jbac->kbac", derivative_matrix(len(knots)).to(knots), knots) / step
        curve = hermite(Path(knots, slopes), step, exact)
        s = (exact / gap).to(knots)
        bump, slope = _bump(s), (32 * s * (1 - s) * (1 - 2 * s)).reshape(-1, 1, 1, 1) / gap
        return Path(
            spline.positions + bump * curve.positions,
            spline.velocities + slope * curve.positions + bump * curve.velocities,
        )

    def _knots(self, anchors: Anchors, step: float) -> Curves:
        """The values of o at every step, both anchors included [A]."""
        units, axes = self.normalisation, self.normalisation.axes(anchors.start.positions)
        count, margin = round(anchors.gap / step) + 1, self.boundary_frames - 1
        s = torch.arange(-margin, count + margin, dtype=torch.float64, device=anchors.start.positions.device)
        inside = (s[margin : margin + count] * step).clamp(max=anchors.gap)
        path = self.spline(anchors, inside)
        head, tail = before(anchors, margin + 1), after(anchors, margin + 1)
        seen = self._features(
            axes,
            Boundary(
                torch.cat((head.positions[:-1], path.positions, tail.positions[1:])),
                torch.cat((head.velocities[:-1], path.velocities, tail.velocities[1:])),
            ),
        )
        ends = seen[[margin, -1 - margin]].transpose(0, 1).flatten(1).expand(len(seen), -1, -1)
        inputs = torch.cat((seen, ends), dim=-1)
        fraction = (s * step / anchors.gap).to(seen).reshape(-1, 1, 1).expand(-1, seen.shape[1], 1)
        output, _ = self.network(torch.cat((inputs, fraction), dim=-1))
        given = self.readout(torch.cat((output, inputs), dim=-1))[margin : margin + count]
        unit = self.correction * (anchors.gap / self.fitted_gap).pow(4).clamp(max=1.0)
        return axes.back(unit * given.unflatten(-1, units.reference.shape))

    def _features(self, axes: Axes, seen: Boundary) -> Float[Tensor, "time batch features"]:
        u = self.normalisation.positions(axes, seen.positions)
        w = self.normalisation.velocities(axes, seen.velocities)
        return torch.cat((u.flatten(2), w.flatten(2)), dim=-1)


def _bump(s: Float[Tensor, " time"]) -> Float[Tensor, "time 1 1 1"]:
    return (16 * (s * (1 - s)) ** 2).reshape(-1, 1, 1, 1)
