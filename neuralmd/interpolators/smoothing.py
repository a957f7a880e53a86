"""Which kicks have brought two solutions apart: the posterior of a linear model with Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.interpolators.modes import Modal

_ROUNDING = 1e-8
"""Standard deviation of the mismatch [A amu^(1/2)] that rounding makes, beside all noise."""

Omegas = Float[Tensor, " modes"]
"""Angular frequency of each mode [1/fs]."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Standard deviations of the kicks v <- v + c_j v + w_j at the beginning of each time step.

    <c_j c_l> = thermostat^2 (j = l) + common^2
    <w_kj w_kl> = white_k^2 (j = l) + smooth_k^2 exp(-(t_j - t_l)^2 / 2 memory^2)

    c_j is the thermostat's; w_j is what the field errs by, and the noise of a thermostat that acts on every atom by
    itself (Langevin), which is white and the same for all modes k.

    Attributes:
        thermostat: Of what is new at each step.
        common: Of what is the same at all steps of a gap, as of a Nose-Hoover chain.
        white: Of each mode [A amu^(1/2) / fs].
        smooth: The same.
        memory: [fs].
    """

    thermostat: Float[Tensor, ""]
    common: Float[Tensor, ""]
    white: Float[Tensor, " modes"]
    smooth: Float[Tensor, " modes"]
    memory: Float[Tensor, ""]

    def root_of_factors(self, count: int) -> Float[Tensor, "kick kick"]:
        """R with R R^T = <c_j c_l>; R may be zero."""
        same = torch.eye(count, dtype=self.thermostat.dtype, device=self.thermostat.device)
        whole = (self.thermostat**2 + count * self.common**2).sqrt()
        return self.thermostat * same + (whole - self.thermostat) / count

    def of_rest(self, times: Float[Tensor, " kick"]) -> Float[Tensor, "modes kick kick"]:
        """<w_kj w_kl>."""
        same = torch.eye(len(times), dtype=times.dtype, device=times.device)
        near = torch.exp(-0.5 * ((times[:, None] - times) / self.memory) ** 2)
        return self.white[:, None, None] ** 2 * same + self.smooth[:, None, None] ** 2 * near


@dataclass(frozen=True, eq=False)
class Mismatch:
    """How far two solutions are apart at one time, and what both have been through.

    Attributes:
        time: t_m [fs] after the first anchor.
        positions: x_bwd - x_fwd there.
        velocities: v_bwd - v_fwd there.
        kicks: t_j, when kicks may have been [fs].
        along: The molecule's velocity at the times of the kicks.
    """

    time: float
    positions: Float[Tensor, "batch modes"]
    velocities: Float[Tensor, "batch modes"]
    kicks: Float[Tensor, " kick"]
    along: Modal


@dataclass(frozen=True, eq=False)
class Inferred:
    """The kicks that a mismatch tells of.

    Attributes:
        factors: Mean of c_j.
        spread: Standard deviation of c_j.
        root: R_c with R_c^T R_c = <c c^T> - <c><c>^T.
        kicks: Mean of c_j v + w_j, for each mode.
        surprise: z^T S^-1 z / dim z = (2 sum_k s_k + <c>^T <c c^T>^-1 <c>) / dim z for each gap, with the surprises s_k
            of the modes that vibrate: 1 on average if the noise is as large as was said.
        surprises: (z - G <c>)^T D^-1 (z - G <c>) / 2 for each mode: the same for what the thermostat leaves over.
    """

    factors: Float[Tensor, "batch kick"]
    spread: Float[Tensor, "batch kick"]
    root: Float[Tensor, "batch kick kick"]
    kicks: Modal
    surprise: Float[Tensor, " batch"]
    surprises: Float[Tensor, "batch modes"]


def infer(mismatch: Mismatch, omegas: Omegas, noise: Noise, free: int = 0) -> Inferred:
    """The mean of all kicks, given the mismatch z.

    z = sum_j Phi(t_m - t_j) (0, k_j),  k_j = c_j v_j + w_j,  Phi(t) (0, k) = (k sin(omega t) / omega, k cos(omega t))

    Kicks before t_m have moved the truth away from the forward solution, later ones from the backward solution; in the
    harmonic approximation both add up to z. With A the response to w, D = A <w w^T> A^T, which is 2 x 2 for each
    mode, and G the response to c:

    <c> = (<c c^T>^-1 + G^T D^-1 G)^-1 G^T D^-1 z,  <w> = <w w^T> A^T D^-1 (z - G <c>)

    The middle of the gap is the best t_m: no kick is propagated over more than half of it, so the harmonic
    approximation errs least.

    Args:
        mismatch: z.
        omegas: Angular frequencies of the modes [1/fs].
        noise: Standard deviations of the kicks.
        free: How many of the first modes are translations and rotations, which do not count as a surprise: a field
            whose forces sum to zero leaves no mismatch of them but rounding.
    """
    answer, rest, lower = _seen(mismatch, omegas, noise)
    z = torch.stack((mismatch.positions, mismatch.velocities), dim=-1)
    pushed = answer[:, None] * mismatch.along[..., None]
    white = torch.linalg.solve_triangular(lower, z[..., None], upper=False).flatten(1)
    known = torch.linalg.solve_triangular(lower, pushed[..., None], upper=False).flatten(2).transpose(0, 1)
    # <c c^T> = R R^T and ((R R^T)^-1 + G^T G)^-1 = R (1 + R^T G^T G R)^-1 R^T, which stands a prior of zero
    root = noise.root_of_factors(len(mismatch.kicks))
    reduced = root.T @ known
    same = torch.eye(len(root), dtype=root.dtype, device=root.device)
    half = torch.linalg.cholesky(same + reduced @ reduced.mT)
    right = reduced @ white[..., None]
    scores = torch.cholesky_solve(right, half)
    factors = (root @ scores)[..., 0]
    spread = torch.linalg.solve_triangular(half, root.T.expand(len(half), -1, -1), upper=False)
    left = z - torch.einsum("jbkx,bj->bkx", pushed, factors)
    weights = torch.cholesky_solve(left[..., None], lower)[..., 0]
    surprises = 0.5 * (left * weights).sum(-1)
    kicks = factors.T[..., None] * mismatch.along + torch.einsum("kjx,bkx->jbk", rest, weights)
    telling = surprises[:, free:]
    surprise = (2.0 * telling.sum(1) + scores.square().sum((1, 2))) / (2 * telling.shape[1])
    return Inferred(factors, spread.norm(dim=1), spread, kicks, surprise, surprises)


@dataclass(frozen=True, eq=False)
class Remaining:
    """What the mismatch leaves open of a displacement e(t) = sum_j E_j(t) k_j; the same for all gaps.

    Attributes:
        variance: Of e(t) if all c_j were known, for each mode [A^2 amu].
        common: H_j(t), by which an error of c_j moves e(t): e <- e + sum_j H_j v_j dc_j [fs].
    """

    variance: Float[Tensor, "time modes"]
    common: Float[Tensor, "time kick modes"]


def remaining(mismatch: Mismatch, omegas: Omegas, noise: Noise, effect: Float[Tensor, "time kick modes"]) -> Remaining:
    """How uncertain displacements are after the mismatch has been seen.

    var = E (<w w^T> - <w w^T> A^T D^-1 A <w w^T>) E^T,  H = E - E <w w^T> A^T D^-1 A,  with A and D of `infer`.

    Args:
        mismatch: Its times; the mismatch itself does not matter.
        omegas: Of the modes.
        noise: Of the kicks.
        effect: E_j(t): what a unit kick of a mode at t_j does to the displacement [fs].
    """
    answer, rest, lower = _seen(mismatch, omegas, noise)
    before = torch.einsum("tjk,kjl,tlk->tk", effect, noise.of_rest(mismatch.kicks), effect)
    told = torch.einsum("tjk,kjx->ktx", effect, rest)
    gain = torch.cholesky_solve(told.mT, lower)  # modes, 2, time
    after = before - torch.einsum("ktx,kxt->tk", told, gain)
    return Remaining(after.clamp(min=0.0), effect - torch.einsum("kxt,jkx->tjk", gain, answer))


def _seen(mismatch: Mismatch, omegas: Omegas, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
    """A^T (kick, modes, 2), <w w^T> A^T (modes, kick, 2), and the Cholesky factor of D (modes, 2, 2)."""
    answer = torch.stack(response(omegas, mismatch.time - mismatch.kicks), dim=-1)
    rest = torch.einsum("kjl,lkx->kjx", noise.of_rest(mismatch.kicks), answer)
    rounding = _ROUNDING**2 * torch.diag_embed(torch.stack((torch.ones_like(omegas), omegas**2), dim=-1))
    return answer, rest, torch.linalg.cholesky(torch.einsum("jkx,kjy->kxy", answer, rest) + rounding)


def response(
    omegas: Omegas, elapsed: Float[Tensor, "*shape"]
) -> tuple[Float[Tensor, "*shape modes"], Float[Tensor, "*shape modes"]]:
    """sin(omega t) / omega and cos(omega t): displacement and velocity a time t after a unit kick."""
    phase = elapsed[..., None] * omegas
    return torch.sin(phase) / omegas, torch.cos(phase)
