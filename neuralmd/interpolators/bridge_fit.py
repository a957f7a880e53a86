"""The fit of a bridge: the modes from the frames, the noise from windows whose hidden frames are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from neuralmd.data.samples import DerivativeSamples
from neuralmd.data.windows import Frames, Part, cut, derivative_samples, spread
from neuralmd.errors import DataError
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.bridge import Bridged, ThermostatBridge, probes_of
from neuralmd.interpolators.mismatch import Solutions
from neuralmd.interpolators.modes import Modal
from neuralmd.interpolators.smoothing import Noise
from neuralmd.system import Curves

_WINDOWS = 320
_WINDOWS_AT_ONCE = 64
_HELD_OUT = 0.2
_SAMPLES = 6000
_STEPS = 40
_RATE = 0.2
"""Learning rate of the logarithms of the standard deviations."""

_FEWEST = 20
_LEAST_SPEED = 1e-3
"""Part of the fastest mode's thermal velocity that counts for one that hardly moves."""

_START = {"thermostat": 4e-3, "common": 4e-5, "white": 3e-3, "smooth": 1e-3, "memory": 4.0}
"""Standard deviations to start from, those of modes as parts of the thermal velocities; the memory in fs."""


@dataclass(frozen=True, eq=False)
class _Known:
    """Windows whose hidden frames are known, with their solutions.

    Attributes:
        starts: Their first frames.
        hidden: The hidden frames [A].
        both: The solutions.
        applied: The kicks that these were solved with.
    """

    starts: Int[Tensor, " windows"]
    hidden: Curves
    both: Solutions
    applied: Modal | None


@torch.no_grad()
def fit_bridge(model: BidirectionalODE, frames: Frames, part: Part) -> None:
    """Fit the bridge of a model, if it has one, to windows of the training part.

    The modes come from the second differences of the part's frames. The standard deviations of the kicks, a few dozen
    numbers for each gap, are those that leave the least mean square error of the hidden frames; the path depends on
    their ratios only, and their common scale makes the mismatch as likely as it is. A gap whose error on the last
    windows of the part, which are not fitted, does not become smaller stays without a bridge.

    Raises:
        DataError: If the molecule has no axes, or the part too few windows of a gap that is to be fitted.
        SolverError: If an ODE cannot be solved.
    """
    bridge = model.bridge
    if bridge is None:
        return
    bridge.modes.fit(_thinned(derivative_samples(frames, part)), frames.timestep)
    bridge.ready.fill_(value=False)
    for index, stride in enumerate(bridge.strides.tolist()):
        starts = part.starts(stride)
        if len(starts) < _FEWEST:
            raise DataError(
                f"the training part has {len(starts)} windows of stride {stride}, but the bridge needs {_FEWEST} to be "
                "fitted to: leave the stride out of model.correction.strides, or give more frames"
            )
        chosen = spread(starts, _WINDOWS)
        bridge.ready[index] = _Fit(model, bridge, frames, stride).helps(chosen)


def _thinned(samples: DerivativeSamples) -> DerivativeSamples:
    every = max(1, len(samples.positions) // _SAMPLES)
    return DerivativeSamples(samples.positions[::every], samples.velocities[::every], samples.accelerations[::every])


@dataclass(frozen=True, eq=False)
class _Fit:
    """The fit of one gap's noise.

    Attributes:
        model: The model.
        bridge: Its bridge.
        frames: The fine trajectory.
        stride: Frames from anchor to anchor.
    """

    model: BidirectionalODE
    bridge: ThermostatBridge
    frames: Frames
    stride: int

    def helps(self, starts: Int[Tensor, " windows"]) -> bool:
        """Fit the noise of each round; whether the windows that were held out have gained by it."""
        last = round((1.0 - _HELD_OUT) * len(starts))
        # The windows overlap: those that share frames with the fitted ones are neither.
        apart = starts >= starts[last - 1] + self.stride
        held_out = apart if bool(apart.any()) else starts == starts[-1]
        fitted = torch.arange(len(starts)) < last
        known = self._solved(starts)
        plain = self._error(known, None, held_out)
        moved: Bridged | None = None
        for round_ in range(self.bridge.rounds + 1):
            if moved is not None:
                known = self._solved(starts, moved)
            noise = self._noise(known, fitted)
            self.bridge.set_noise(self.stride, round_, noise)
            moved = self._moved(known, noise)
        return self._error(known, moved, held_out) < plain

    def _solved(self, starts: Int[Tensor, " windows"], moved: Bridged | None = None) -> _Known:
        """Windows with their solutions, with kicks if there are some."""
        probes, pieces, hidden = probes_of(self.stride), [], []
        impulses = None if moved is None else self.bridge.impulses(moved).to(self.bridge.white)
        for some in torch.arange(len(starts)).split(_WINDOWS_AT_ONCE):
            window = cut(self.frames, starts[some], self.stride, self.bridge.white.dtype)
            anchors, times = window.anchors, window.times
            if impulses is None:
                pieces += self.model.probed_solutions(anchors, times, (probes,))
            else:
                pieces.append(self.model.kicked_solutions(anchors, times, probes, impulses[:, some]))
            hidden.append(window.hidden)
        return _Known(starts, torch.cat(hidden, 1), _gathered(pieces), None if moved is None else moved.kicks)

    def _moved(self, known: _Known, noise: Noise) -> Bridged:
        return self.bridge(known.both, self.model.blend.weight(probes_of(self.stride)), noise, known.applied)

    def _joined(self, both: Solutions | Bridged, known: _Known) -> Curves:
        return self.model.joined(both.forward, both.backward, known.both.s, known.both.gap).positions

    def _error(self, known: _Known, moved: Bridged | None, which: Tensor) -> float:
        found = self._joined(known.both if moved is None else moved, known)
        return float((found - known.hidden)[:, which].double().square().mean())

    @torch.enable_grad()
    def _noise(self, known: _Known, fitted: Tensor) -> Noise:
        """The noise that explains best what the blend leaves."""
        bridge, both = self.bridge, known.both
        rotations, mismatch = bridge.mismatch(both, self.model.blend.weight(probes_of(self.stride)))
        left = (known.hidden - self._joined(both, known)).double()
        share = self.model.blend.weight(both.s).to(left)[:, None, None]
        times = both.s.to(left) * both.gap
        free = _Logarithms(mismatch.along)
        optimizer = torch.optim.Adam(free.numbers.values(), lr=_RATE, betas=(0.8, 0.95))
        for step in range(_STEPS):
            kicks = bridge.infer(mismatch, free.noise(), known.applied).kicks
            new = kicks if known.applied is None else kicks - known.applied
            ahead, back = (bridge.moves(times, mismatch.kicks, new, ahead=way)[0] for way in (True, False))
            explained = bridge.modes.vectors((1.0 - share) * ahead + share * back, rotations)
            loss = (explained - left)[:, fitted].square().mean().log()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 0.5 * _RATE * (1.0 + math.cos(math.pi * (step + 1) / _STEPS))
        with torch.no_grad():
            surprise = bridge.infer(mismatch, free.noise(), known.applied).surprise
            return free.noise(float(surprise.mean().sqrt()))


class _Logarithms:
    """The noise as logarithms, which are free.

    Args:
        along: Velocities, which set the scale of the modes' kicks.
    """

    def __init__(self, along: Modal) -> None:
        speed = along.detach().square().mean((0, 1)).sqrt()
        size = speed.clamp(min=_LEAST_SPEED * float(speed.max()))
        units = {"white": size, "smooth": size}
        self.numbers = {
            name: (start * units.get(name, torch.ones_like(size[0]))).log().requires_grad_()
            for name, start in _START.items()
        }

    def noise(self, scale: float = 1.0) -> Noise:
        """The noise, with all standard deviations times a scale."""
        sizes = {name: number.exp() for name, number in self.numbers.items()}
        return Noise(
            scale * sizes["thermostat"],
            scale * sizes["common"],
            scale * sizes["white"],
            scale * sizes["smooth"],
            sizes["memory"],
        )


def _gathered(pieces: list[Solutions]) -> Solutions:
    """The solutions of several batches as one."""

    def path(parts: list[Path]) -> Path:
        return Path(torch.cat([one.positions for one in parts], 1), torch.cat([one.velocities for one in parts], 1))

    return Solutions(
        pieces[0].gap,
        pieces[0].s,
        path([one.forward for one in pieces]),
        path([one.backward for one in pieces]),
        path([one.forward_probes for one in pieces]),
        path([one.backward_probes for one in pieces]),
    )
