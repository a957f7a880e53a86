"""`ThermostatBridge`: forward and backward solutions, each moved by the kicks that their mismatch tells of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.errors import DataError
from neuralmd.interpolators.base import Friction, Path
from neuralmd.interpolators.both_ways import Impulses, Parts
from neuralmd.interpolators.error_bars import Spreads
from neuralmd.interpolators.mismatch import Solutions
from neuralmd.interpolators.modes import Modal, NormalModes
from neuralmd.interpolators.orientation import Rotations
from neuralmd.interpolators.smoothing import Inferred, Mismatch, Noise, infer, remaining, response
from neuralmd.system import System, Times

_SAME_GAP = 1e-3
"""Part of a gap by which it may differ from one that was fitted."""

_ROUNDING = 1e-9
"""Part of a gap that counts as no time."""

_LEAST_SURPRISE = 1e-4
"""Below it, a mode that happens to fit counts no less."""


@dataclass(frozen=True, eq=False)
class Bridged:
    """Two solutions after the inferred kicks.

    Attributes:
        forward: From the first anchor.
        backward: From the second anchor, in order of increasing time.
        rotations: From the laboratory's axes to those of the modes.
        mismatch: What the kicks were inferred from.
        noise: Their standard deviations.
        found: The kicks.
    """

    forward: Path
    backward: Path
    rotations: Rotations
    mismatch: Mismatch
    noise: Noise
    found: Inferred

    @property
    def kicks(self) -> Modal:
        """All kicks, for each mode."""
        return self.found.kicks

    @property
    def friction(self) -> Friction:
        """The thermostat's part of the kicks."""
        times = self.mismatch.kicks
        step = times[1] - times[0]
        return Friction(times, -self.found.factors.T / step, self.found.spread.T / step)


class ThermostatBridge(nn.Module):
    """Moves the two solutions by what kicked the molecule on its way: a thermostat, and the field's errors.

    At the beginning t_j of each of a gap's K time steps, v <- v + c_j v + w_j with one unknown number c_j (a thermostat
    that scales all velocities) and an unknown vector w_j (the field's error, the noise of a thermostat on each atom).
    From z, the mismatch of both solutions in the middle of the gap, follow the means of all c_j and w_j in the harmonic
    approximation (`infer`), and with the kicks k_j = c_j v_j + w_j in normal modes

    x_fwd(t) <- x_fwd(t) + sum_(t_j < t) k_j sin(omega (t - t_j)) / omega,
    x_bwd(t) <- x_bwd(t) - sum_(t_j >= t) k_j sin(omega (t - t_j)) / omega.

    Nothing moves at a solution's own anchor. The velocities are the derivatives; at t_j itself, where the path has a
    kink as the truth has, those before the kick, as molecular dynamics programs write them. It needs no evaluation of
    the field. With rounds > 0 the equation of motion is solved again with the kicks in place, and the mismatch that is
    then left is treated in the same way.

    The standard deviations of the kicks are fitted to windows whose hidden frames are known (`fit_bridge`), a set for
    each gap and each round. Rotation-equivariant: the modes live in the axes of the molecule.

    Args:
        system: The atoms.
        strides: Time steps K of the gaps that it will be fitted for.
        timestep: [fs].
        rounds: How often the equation of motion is solved again with the inferred kicks.

    Raises:
        DataError: If the system has no axes of its own.
    """

    gaps: Tensor
    strides: Tensor
    ready: Tensor
    factors: Tensor
    white: Tensor
    smooth: Tensor
    memory: Tensor

    def __init__(self, system: System, strides: Sequence[int], timestep: float, rounds: int = 0) -> None:
        super().__init__()
        self.modes = NormalModes(system)
        self.rounds = rounds
        count, passes = len(strides), rounds + 1
        self.register_buffer("gaps", torch.tensor([k * timestep for k in strides], dtype=torch.float64))
        self.register_buffer("strides", torch.tensor(list(strides)))
        self.register_buffer("ready", torch.zeros(count, dtype=torch.bool))
        self.register_buffer("factors", torch.zeros(count, passes, 2))
        self.register_buffer("white", torch.zeros(count, passes, 3 * system.atoms))
        self.register_buffer("smooth", torch.zeros(count, passes, 3 * system.atoms))
        self.register_buffer("memory", torch.ones(count, passes))

    def extra_repr(self) -> str:
        """The gaps that it is for; see `torch.nn.Module.extra_repr`."""
        return f"gaps of {', '.join(f'{gap:.4g}' for gap in self.gaps.tolist())} fs, rounds={self.rounds}"

    def fitted(self, gap: float) -> int | None:
        """Index of the noise of gaps of this length [fs]; none if it was not fitted, or did not help there."""
        close = ((self.gaps - gap).abs() < _SAME_GAP * gap) & self.ready
        found = torch.nonzero(close).flatten().tolist()
        return found[0] if found else None

    def probes(self, gap: float) -> Times:
        """The times at which both solutions must be known, as parts of a gap of this length [fs].

        Raises:
            DataError: If it was not fitted for this gap.
        """
        index = self.fitted(gap)
        if index is None:
            raise DataError(f"the bridge was not fitted for gaps of {gap:g} fs")
        return probes_of(int(self.strides[index]))

    def noise(self, gap: float, round_: int) -> Noise:
        """The noise that was fitted for gaps of this length [fs], in the round of that number.

        Raises:
            DataError: If it was not fitted for this gap.
        """
        index = self.fitted(gap)
        if index is None:
            raise DataError(f"the bridge was not fitted for gaps of {gap:g} fs")
        thermostat, common = self.factors[index, round_].double()
        white, smooth = self.white[index, round_].double(), self.smooth[index, round_].double()
        return Noise(thermostat, common, white, smooth, self.memory[index, round_].double())

    @torch.no_grad()
    def set_noise(self, stride: int, round_: int, noise: Noise) -> None:
        """Keep a noise, without which no gap is bridged."""
        index = self.strides.tolist().index(stride)
        self.factors[index, round_] = torch.stack((noise.thermostat, noise.common)).to(self.factors)
        self.white[index, round_] = noise.white.to(self.white)
        self.smooth[index, round_] = noise.smooth.to(self.smooth)
        self.memory[index, round_] = noise.memory.to(self.memory)

    def forward(self, both: Solutions, weight: Parts, noise: Noise, applied: Modal | None = None) -> Bridged:
        """Both solutions, moved.

        Args:
            both: Forward and backward, at the query times and at the `probes`.
            weight: lambda at the probes, with which the velocities of both are averaged.
            noise: The standard deviations of the kicks.
            applied: Kicks that the solutions were already solved with.
        """
        rotations, mismatch = self.mismatch(both, weight)
        found = self.infer(mismatch, noise, applied)
        new = found.kicks if applied is None else found.kicks - applied
        times = both.s.to(new) * both.gap
        return Bridged(
            self._moved(both.forward, self.moves(times, mismatch.kicks, new, ahead=True), rotations),
            self._moved(both.backward, self.moves(times, mismatch.kicks, new, ahead=False), rotations),
            rotations,
            mismatch,
            noise,
            found,
        )

    def variances(self, bridged: Bridged, times: Times, share: Parts) -> Spreads:
        """How far the joined path may be from the truth by what the mismatch does not tell of the kicks.

        sigma_i(t)^2 = 1/3 sum_k |B_ik|^2 s_k var_k(t) / m_i + s / 3 sum_jl r_ij(t) . <dc_j dc_l> r_il(t),
        r_ij = sum_k B_ik H_jk(t) v_jk / m_i^(1/2)

        with var and H of `remaining`, and each part larger by what the gap's mismatch has been larger than expected: s
        and s_k of `Inferred`. As in a scale mixture of Gaussians, a gap that surprises is less certain in all it does.

        Args:
            bridged: The solutions.
            times: t [fs].
            share: lambda at these times.
        """
        found, mismatch = bridged.found, bridged.mismatch
        omegas, at = self.modes.omegas.double(), times.to(mismatch.kicks)
        ahead, back = (self._effects(at, mismatch.kicks, ahead=way)[0] for way in (True, False))
        weight = share.to(at)[:, None, None]
        left = remaining(mismatch, omegas, bridged.noise, (1.0 - weight) * ahead + weight * back)
        atoms = len(self.modes.reference)
        basis = self.modes.weighted_basis.float()  # of single precision, since it decides nothing but a width
        own = torch.einsum("tk,bk,ck->tbc", left.variance.float(), found.surprises.float(), basis.square())
        pushed = torch.einsum("tjk,jbk->tbjk", left.common.float(), mismatch.along.float())
        open_ = torch.einsum("bmj,tbjc->tbmc", found.root.float(), pushed @ basis.T).square().sum(2)
        both = own + found.surprise.float()[:, None] * open_
        return both.unflatten(2, (atoms, 3)).mean(-1).to(self.white)

    def level(self, bridged: Bridged) -> Float[Tensor, " batch"]:
        """How much larger than expected the mismatch of each gap is, as most modes tell.

        L = exp(1/M sum_k log s_k)

        over the M vibrations, with s_k of `Inferred`: the geometric mean. The arithmetic mean is that of a few modes
        whose noise is larger than it was fitted, and says little of how far the path errs. A field whose forces sum to
        zero leaves no mismatch of translations but rounding, of which a geometric mean would make much.
        """
        vibrations = bridged.found.surprises[:, self.modes.free :]
        return vibrations.clamp(min=_LEAST_SURPRISE).log().mean(1).exp().to(self.white)

    def mismatch(self, both: Solutions, weight: Parts) -> tuple[Rotations, Mismatch]:
        """The rotations into the axes of the modes, and the mismatch there in the middle of the gap."""
        ahead, back = both.forward_probes, both.backward_probes
        rotations = self.modes.rotations(ahead.positions[0], back.positions[-1])
        share = weight.to(ahead.velocities).reshape(-1, 1, 1, 1)[:-1]
        velocities = (1 - share) * ahead.velocities[:-1] + share * back.velocities[:-1]
        count = len(velocities)
        middle = count // 2
        apart = torch.stack(
            (back.positions[middle] - ahead.positions[middle], back.velocities[middle] - ahead.velocities[middle])
        )
        x, v = self.modes.along(apart, rotations)
        kicks = torch.arange(count, dtype=x.dtype, device=x.device) * (both.gap / count)
        return rotations, Mismatch(float(kicks[middle]), x, v, kicks, self.modes.along(velocities, rotations))

    def infer(self, mismatch: Mismatch, noise: Noise, applied: Modal | None) -> Inferred:
        """The kicks that a mismatch tells of, those included that the solutions were already solved with."""
        omegas = self.modes.omegas.double()
        if applied is None:
            return infer(mismatch, omegas, noise, self.modes.free)
        shift, turn = response(omegas, mismatch.time - mismatch.kicks)
        x = mismatch.positions + (shift[:, None] * applied).sum(0)
        v = mismatch.velocities + (turn[:, None] * applied).sum(0)
        return infer(replace(mismatch, positions=x, velocities=v), omegas, noise, self.modes.free)

    def moves(self, times: Times, kicks: Float[Tensor, " kick"], size: Modal, *, ahead: bool) -> tuple[Modal, Modal]:
        """What kicks of that size do to the positions and velocities of a solution, forward (`ahead`) or backward."""
        x, v = torch.einsum("otjk,jbk->otbk", self._effects(times, kicks, ahead=ahead), size)
        return x, v

    def _effects(
        self, times: Times, kicks: Float[Tensor, " kick"], *, ahead: bool
    ) -> Float[Tensor, "2 time kick modes"]:
        """What unit kicks do to a solution's positions and velocities: nothing, if it has not been through them."""
        elapsed = times[:, None] - kicks
        before = (elapsed > _ROUNDING * float(kicks[-1] + 1.0)).to(elapsed)
        counts = before if ahead else before - 1.0
        return torch.stack(response(self.modes.omegas.double(), elapsed)) * counts[..., None]

    def impulses(self, bridged: Bridged) -> Impulses:
        """The kicks as changes of the atoms' velocities [A/fs]."""
        return self.modes.vectors(bridged.kicks, bridged.rotations)

    def _moved(self, path: Path, moves: tuple[Modal, Modal], rotations: Rotations) -> Path:
        x, v = (self.modes.vectors(part, rotations).to(path.positions) for part in moves)
        return Path(path.positions + x, path.velocities + v)


def probes_of(stride: int) -> Times:
    """0, 1/K, ..., 1."""
    return torch.arange(stride + 1, dtype=torch.float64) / stride
