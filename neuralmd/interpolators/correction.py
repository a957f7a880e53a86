"""`MismatchCorrection`: what the disagreement of the two solutions says beyond one weight lambda."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from neuralmd.errors import DataError
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.mismatch import PROBES, VELOCITY_WEIGHT, Correction, Rated, Solutions, shapes
from neuralmd.system import Curves, System

_RIDGE: Final = 1e-9
"""Part of the mean diagonal that is added to the normal equations, so that they can always be solved."""


class MismatchCorrection(Correction):
    """A correction to the blend, linear in the mismatch of the two solutions, that vanishes at both anchors.

    delta(t) = sum_f sum_n C[e, f, n] phi_n(s) F_f(t),  phi_n(s) = 16 s^2 (1 - s)^2 T_n(2 s - 1),  s = t / gap

    with Chebyshev's polynomials T_n, the element e, and the features F, all in A,

    1. Dx(t) and gap Dv(t), which make it a blend in phase space: Dx = x_bwd - x_fwd, Dv = v_bwd - v_fwd;
    2. u(t) <Dx, u> / <u, u> and gap u(t) <Dv, u> / <u, u>, their parts along the velocity u = (v_fwd + v_bwd) / 2;
    3. gap c_i u(t) and gap c_i u(t_j) with c_i = <Dv, u> / <u, u> at the probe t_i, for all probes t_i and t_j.

    A global thermostat pushes all atoms along their velocities, by an unknown number at each step. c_i tells how much
    the velocities have lost or gained by t_i, and what a push at t_j does later is a combination of the velocities
    along the path. <a, b> = sum_i m_i a_i . b_i.

    The coefficients are fitted by least squares to the training part; nothing is trained by gradients. They belong to
    the length of the gap, so there is one set for each gap that was fitted, and no correction for others. The velocity
    is the derivative of the positions. It is equivariant, as the solutions are.

    Args:
        system: The molecule.
        gaps: Lengths of the gaps that it will be fitted for [fs].
        terms: Number of polynomials.
    """

    coefficients: Tensor
    species: Tensor
    masses: Tensor

    def __init__(self, system: System, gaps: Sequence[float], terms: int = 4) -> None:
        super().__init__()
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        features = 4 + len(PROBES) * (1 + len(PROBES))
        self.terms = terms
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.float64))
        self.register_buffer("ready", torch.ones(len(gaps), dtype=torch.bool), persistent=False)
        self.register_buffer("coefficients", torch.zeros(len(gaps), len(elements), features, terms))
        self.register_buffer("species", torch.as_tensor(species), persistent=False)
        masses = torch.as_tensor(system.masses, dtype=torch.get_default_dtype())[:, None]
        self.register_buffer("masses", masses, persistent=False)

    def extra_repr(self) -> str:
        """The gaps that it is for, and the number of polynomials; see `torch.nn.Module.extra_repr`."""
        return f"{super().extra_repr()}, terms={self.terms}"

    @override
    def forward(self, solutions: Solutions, accelerations: tuple[Curves, Curves]) -> Path:
        index = self.fitted(solutions.gap)
        if index is None:
            raise DataError(f"the correction was not fitted for gaps of {solutions.gap:g} fs")
        coefficients = self.coefficients[index][self.species]
        series = shapes(solutions.s.to(solutions.forward.positions), self.terms)
        features = self.features(solutions, accelerations)
        weights = torch.einsum("afn,nt->fta", coefficients, series.value)[..., None, :, None]
        slopes = torch.einsum("afn,nt->fta", coefficients, series.rate)[..., None, :, None] / solutions.gap
        positions = (weights * features.value).sum(0)
        return Path(positions, (weights * features.rate + slopes * features.value).sum(0))

    def features(self, solutions: Solutions, accelerations: tuple[Curves, Curves]) -> Rated:
        """F at the times of the solutions [A], and dF/dt [A/fs]; shape (features, time, batch, atoms, 3)."""
        gap, fwd, bwd = solutions.gap, solutions.forward, solutions.backward
        along = Rated(_mean(fwd, bwd), 0.5 * (accelerations[0] + accelerations[1]))
        moved = Rated(bwd.positions - fwd.positions, bwd.velocities - fwd.velocities)
        kicked = Rated(gap * moved.rate, gap * (accelerations[1] - accelerations[0]))
        found = [moved, kicked, self._part(moved, along), self._part(kicked, along)]
        ways = _mean(solutions.forward_probes, solutions.backward_probes)
        lost = gap * (solutions.backward_probes.velocities - solutions.forward_probes.velocities)
        momenta = self.masses * ways
        still = torch.zeros_like(along.value)
        for share in _dot(momenta, lost) / _dot(momenta, ways):
            found.append(Rated(share * along.value, share * along.rate))
            found += [Rated((share * way).expand_as(still), still) for way in ways]
        return Rated(torch.stack([one.value for one in found]), torch.stack([one.rate for one in found]))

    def _part(self, mismatch: Rated, along: Rated) -> Rated:
        """U q with q = <D, u> / <u, u>, and its derivative."""
        (d, d_rate), (u, u_rate) = mismatch, along
        momenta, forces = self.masses * u, self.masses * u_rate
        size = _dot(momenta, u)
        share = _dot(momenta, d) / size
        share_rate = (_dot(momenta, d_rate) + _dot(forces, d) - 2.0 * share * _dot(forces, u)) / size
        return Rated(u * share, u_rate * share + u * share_rate)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum((-1, -2), keepdim=True)


def _mean(forward: Path, backward: Path) -> Curves:
    return 0.5 * (forward.velocities + backward.velocities)


class NormalEquations:
    """The least-squares problem of a correction's coefficients, gathered batch by batch.

    min_C sum |delta(t; C) - r(t)|^2 + (0.3 h)^2 |d delta/dt (t; C) - dr/dt (t)|^2 over hidden frames, atoms of an
    element and components, where h is the time from frame to frame

    The second term decides what positions leave open: in a short gap there are as many polynomials as hidden frames,
    and a path that is right at each frame could be anything between. It weighs less than the first, since stored
    velocities jump at a thermostat's kicks, where the path's do not.

    Args:
        correction: Whose coefficients are sought.
        index: For which of its gaps.
        timestep: h [fs].
    """

    def __init__(self, correction: MismatchCorrection, index: int, timestep: float) -> None:
        self._correction, self._index, self._time = correction, index, VELOCITY_WEIGHT * timestep
        elements, features, terms = correction.coefficients[index].shape
        size = features * terms
        device = correction.coefficients.device
        self._matrix = torch.zeros(elements, size, size, dtype=torch.float64, device=device)
        self._right = torch.zeros(elements, size, dtype=torch.float64, device=device)

    def add(self, solutions: Solutions, accelerations: tuple[Curves, Curves], residual: Path) -> None:
        """Take more windows into account.

        Args:
            solutions: Forward and backward.
            accelerations: dv/dt along both [A/fs^2].
            residual: r and dr/dt, the true positions and velocities less the blend's.
        """
        series = shapes(solutions.s.to(residual.positions), self._correction.terms)
        features = self._correction.features(solutions, accelerations)
        slopes = series.rate * (self._time / solutions.gap)
        for element in range(len(self._matrix)):
            atoms = self._correction.species == element
            values, rates = features.value[..., atoms, :], self._time * features.rate[..., atoms, :]
            self._take(element, _columns(series.value, values), residual.positions[..., atoms, :])
            columns = _columns(series.value, rates) + _columns(slopes, values)
            self._take(element, columns, self._time * residual.velocities[..., atoms, :])

    def _take(self, element: int, columns: Float[Tensor, "unknowns rows"], right: Curves) -> None:
        self._matrix[element] += columns @ columns.T
        self._right[element] += columns @ right.double().flatten()

    def solve(self) -> None:
        """Give the correction the coefficients of least squares."""
        size = self._matrix.shape[-1]
        scale = self._matrix.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=torch.finfo(torch.float64).tiny)
        ridge = _RIDGE * scale[:, None, None] * torch.eye(size, dtype=torch.float64, device=scale.device)
        found = torch.linalg.solve(self._matrix + ridge, self._right)
        sought = self._correction.coefficients[self._index]
        sought.copy_(found.reshape(sought.shape))


def _columns(
    series: Float[Tensor, "terms time"], features: Float[Tensor, "features time batch atoms 3"]
) -> Float[Tensor, "unknowns rows"]:
    """What each coefficient brings to each component, one row of the result for each coefficient."""
    return torch.einsum("nt,ftbac->fntbac", series.double(), features.double()).flatten(2).flatten(0, 1)
