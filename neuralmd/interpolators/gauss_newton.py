"""The search behind `infer_velocities`: Gauss-Newton on the velocities of frames whose positions are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuralmd.errors import SolverError
from neuralmd.fields.base import Field
from neuralmd.interpolators.chain import Normal, solve_chain
from neuralmd.interpolators.harmonic import LinearFlow, Stiffness, harmonic_flow, stiffness, unweighted, weighted
from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import Solver
from neuralmd.system import Curves, PhaseState, Positions, Velocities

_FIRST_RATE = 1e-3
"""[1/fs]. The noise is first taken for that of a thermostat with this friction."""

_LEAST_RATE = 1e-8
"""[1/fs]. Less noise than that of this friction would leave the equations to rounding."""

_LEAST_ENERGY = 1e-6
"""[amu A^2/fs^2]. The temperature of frames that do not move is taken for 1 K."""

_LONGEST_STEP = 3.0
"""In widths of the velocities: an anchor goes no further in one step, lest the solver sees places with no physics."""

_STALE = 1.0
"""In standard deviations: an anchor that moved further has its gap linearised anew."""

_AT_REST = 0.02
"""In standard deviations: where no anchor moved further, the search is over."""

_SHIFT = 0.06
"""Part of a frequency by which anharmonicity may shift it."""

_NEIGHBOURS = 8
"""Gaps that are looked at together to find where the search went best."""

_SETTLED = 0.5
"""Where the noise fell to less than this part in one step, what was taken for noise was the search's own way to go."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Known frames, evenly spaced in time, and what moves them.

    Attributes:
        field: The acceleration.
        solver: What integrates it.
        masses: Mass of each atom [amu].
        positions: x of each frame [A].
        gap: Time from frame to frame [fs].
        piece: Longest time for which the field's linearisation is frozen [fs].
    """

    field: Field
    solver: Solver
    masses: Float[Tensor, " atoms"]
    positions: Positions
    gap: float
    piece: float

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the field."""
        return next((weight.dtype for weight in self.field.parameters()), torch.float64)

    @property
    def pieces(self) -> int:
        """How many times each gap is linearised."""
        return max(1, math.ceil(self.gap / self.piece - 1e-9))


@dataclass(frozen=True, eq=False)
class _Shot:
    """The forward solutions of all gaps; NaN where one failed."""

    inner: Curves
    inner_velocities: Curves
    end: Float[Tensor, "gaps phase"]
    alive: Bool[Tensor, " gaps"]


class GaussNewton:
    """The search for the velocities v_j of all n frames that minimise the misfit of the gaps.

    sum_j |r_j|^2_Q + sum_j v_j^T M v_j / (n kT),  r_j = (x_j+1, v_j+1) - phi(x_j, v_j)

    phi is the solver's flow over a gap, Q the covariance of white noise carried along it (see `LinearFlow`), in
    mass-weighted coordinates. The prior counts once for the whole chain: the frames are one motion, not n.

    phi is exact in every step; its derivative is a product of harmonic flows along the path, taken anew where the path
    has moved by more than the standard deviation.

    Attributes:
        velocities: v, mass-weighted.
        covariance: Of v, mass-weighted; one block for each frame.
        step: The last step of v.
        misfit: |r|^2_Q of each gap, per equation that no unknown takes up; 0 for a gap that could not be solved.
        alive: Which gaps could be solved.
        cost: Sum of |r|^2_Q over the gaps, for noise of unit density.
        energy: kT [amu A^2/fs^2].
        density: Of the noise [amu A^2/fs^3].
        curvature: K averaged over each gap [1/fs^2].
        evaluations: Configurations at which the field was evaluated.

    Args:
        chain: The frames.
        velocities: Where to start [A/fs].
        energy: kT of the prior [amu A^2/fs^2]; none to estimate it.
        density: Density of the noise [amu A^2/fs^3]; none to estimate it.
    """

    covariance: Float[Tensor, "frames coordinates coordinates"]

    def __init__(self, chain: Chain, velocities: Velocities, energy: float | None, density: float | None) -> None:
        self._chain = chain
        self._positions = weighted(chain.positions, chain.masses)
        self._fixed_energy, self._fixed_density = energy, density
        self.velocities = weighted(velocities, chain.masses)
        frames, size = self.velocities.shape
        self.energy = max(float(self.velocities.square().mean()), _LEAST_ENERGY) if energy is None else energy
        self.density = 2 * self.energy * _FIRST_RATE if density is None else density
        self.step = torch.zeros_like(self.velocities)
        self.misfit = self.velocities.new_zeros(frames - 1)
        self.cost = math.inf
        self.alive = torch.zeros_like(self.misfit, dtype=torch.bool)
        self._stale = torch.ones_like(self.alive)
        self.curvature = self.velocities.new_zeros(frames - 1, size, size)
        self._slope = self.velocities.new_zeros(frames - 1, 2 * size, size)
        self._weight = self.velocities.new_zeros(frames - 1, 2 * size, 2 * size)
        self.evaluations = 0
        self._settled = True
        self._failure: SolverError | None = None

    @property
    def at_rest(self) -> bool:
        """Whether the last step was small against the standard deviation everywhere, and that has settled."""
        return self._settled and bool((self._moved() < _AT_REST).all())

    def advance(self) -> None:
        """Make one step.

        Raises:
            SolverError: If not a single gap can be solved, or the equations cannot.
        """
        shot = self._shoot()
        self.alive = self._linearise(shot, shot.alive & (self._stale | ~self.alive))
        target = torch.cat((self._positions[1:], self.velocities[1:]), dim=1)
        residual = torch.where(self.alive[:, None], target - shot.end, 0.0)
        step, self.covariance = solve_chain(self._equations(residual))
        self._estimate(residual)
        width = math.sqrt(max(self.energy, float(self.velocities.square().mean())))
        self.step = step / (step.abs().amax(1, keepdim=True) / (_LONGEST_STEP * width)).clamp_min(1.0)
        self.velocities = self.velocities + self.step
        self._stale = self._moved()[:-1] > _STALE

    @property
    def ambiguous(self) -> bool:
        """Whether the gap is so near to a multiple of half a mode's period that a wrong amplitude may fit it too.

        omega gap = k pi within 6 %, k >= 1: about the shift of a stretch's frequency by its anharmonicity.
        """
        squares = torch.linalg.eigvalsh(self.curvature[self.alive]).clamp_min(0.0)
        halves = squares.sqrt().mean(0) * (self._chain.gap / math.pi)
        nearest = halves.round().clamp_min(1.0)
        return bool(((halves - nearest).abs() < _SHIFT * nearest).any())

    def continued(self) -> Velocities:
        """Velocities that go on, gap by gap to either side, from the frames whose gaps are met best [A/fs].

        A better start where the search has found a wrong minimum in a part of the chain: the motion remembers its
        amplitudes for longer than it takes to cross that part.
        """
        chain, last = self._chain, len(self.misfit)
        met = torch.where(self.alive, self.misfit, torch.inf)
        width = min(_NEIGHBOURS, last)
        pivot = int(met.unfold(0, width, 1).mean(1).argmin()) + width // 2
        velocities = unweighted(self.velocities, chain.masses)
        times = torch.tensor([0.0, chain.gap], dtype=torch.float64)
        for distance in range(max(pivot, last - pivot)):
            sides = [(sign, pivot + sign * distance) for sign in (1, -1)]
            open_ = [(sign, frame) for sign, frame in sides if 0 <= frame + sign <= last]
            signs = torch.tensor([sign for sign, _ in open_], device=velocities.device).reshape(-1, 1, 1)
            frames = torch.tensor([frame for _, frame in open_], device=velocities.device)
            start = PhaseState(chain.positions[frames], signs * velocities[frames]).to(chain.dtype)
            ended = signs * self._solve(start, times)[1][-1].double()
            following = frames + signs.flatten()
            velocities[following] = torch.where(torch.isfinite(ended), ended, velocities[following])
        return velocities

    def _moved(self) -> Float[Tensor, " frames"]:
        variance = self.covariance.diagonal(dim1=1, dim2=2)
        return (self.step.square() / variance).mean(1).sqrt()

    def _equations(self, residual: Float[Tensor, "gaps phase"]) -> Normal:
        frames, size = self.velocities.shape
        weight = torch.where(self.alive[:, None, None], self._weight / self.density, 0.0)
        pull = self._slope.mT @ weight
        prior = 1.0 / (frames * self.energy)
        diagonal = prior * torch.eye(size, dtype=weight.dtype, device=weight.device).repeat(frames, 1, 1)
        diagonal[:-1] += pull @ self._slope
        diagonal[1:] += weight[:, size:, size:]
        right = -prior * self.velocities
        right[:-1] += (pull @ residual[..., None])[..., 0]
        right[1:] -= (weight[:, size:] @ residual[..., None])[..., 0]
        return Normal(diagonal, -pull[:, :, size:], right)

    def _estimate(self, residual: Float[Tensor, "gaps phase"]) -> None:
        """Noise and temperature for the next step, where they are not given."""
        frames, size = self.velocities.shape
        variance = self.covariance.diagonal(dim1=1, dim2=2)
        gaps = int(self.alive.sum())
        determined = frames * size - float(variance.sum()) / (frames * self.energy)
        free = (2 * size * gaps - determined) / gaps
        left = torch.einsum("gi,gij,gj->g", residual, self._weight / self.density, residual)
        self.misfit = torch.where(self.alive, left / max(free, 0.5 * size), 0.0)
        self.cost = self.density * float(left[self.alive].sum())
        if self._fixed_density is None and free > 0.25 * size:
            scale, least = float(self.misfit[self.alive].median()), 2 * self.energy * _LEAST_RATE
            self._settled = scale > _SETTLED or self.density <= least
            self.density = max(self.density * scale, least)
            self.misfit = self.misfit / scale if scale > 0 else self.misfit
        if self._fixed_energy is None:
            self.energy = max(float((self.velocities.square() + variance).mean()), _LEAST_ENERGY)

    def _linearise(self, shot: _Shot, stale: Bool[Tensor, " gaps"]) -> Bool[Tensor, " gaps"]:
        """Take the derivative of phi by v_j, and the weight of r, along the path; tell which gaps have them."""
        chain, size, alive = self._chain, self.velocities.shape[1], shot.alive.clone()
        if not bool(stale.any()):
            return alive
        flow: LinearFlow | None = None
        sound = torch.ones(int(stale.sum()), dtype=torch.bool, device=alive.device)
        curvatures: list[Stiffness] = []
        for x, v in zip(shot.inner[:, stale], shot.inner_velocities[:, stale], strict=True):
            matrix = stiffness(chain.field, PhaseState(x, v), chain.masses)
            self.evaluations += len(x) * (size + 1)
            finite = torch.isfinite(matrix).flatten(1).all(1)
            sound &= finite
            curvatures.append(torch.where(finite[:, None, None], matrix, 0.0))
            following = harmonic_flow(curvatures[-1], chain.gap / chain.pieces)
            flow = following if flow is None else flow.then(following)
        if flow is not None:
            factor, failure = torch.linalg.cholesky_ex(flow.noise)
            sound &= failure == 0
            self._slope[stale] = flow.transition[:, :, size:]
            self._weight[stale] = torch.where(sound[:, None, None], torch.cholesky_inverse(factor), 0.0)
            self.curvature[stale] = torch.stack(curvatures).mean(0)
        alive[stale] = sound
        return alive

    def _shoot(self) -> _Shot:
        """Solve all gaps, and bring the frames between, for the linearisation only, onto the second anchor."""
        chain, pieces = self._chain, self._chain.pieces
        start = PhaseState(chain.positions[:-1], unweighted(self.velocities[:-1], chain.masses)).to(chain.dtype)
        fractions = (torch.arange(pieces, dtype=torch.float64) + 0.5) / pieces
        times = chain.gap * torch.cat((torch.zeros(1), fractions, torch.ones(1)))
        x, v = self._solve(start, times)
        end = torch.cat((weighted(x[-1], chain.masses), weighted(v[-1], chain.masses)), dim=1)
        alive = torch.isfinite(end).all(1)
        if self._failure is not None and not bool(alive.any()):
            raise self._failure
        missed = (chain.positions[1:] - x[-1].double()).to(chain.dtype)
        inner = x[1:-1] + fractions.to(missed).reshape(-1, 1, 1, 1) * missed
        return _Shot(inner, v[1:-1], end, alive)

    def _solve(self, start: PhaseState, times: Float[Tensor, " time"]) -> tuple[Curves, Curves]:
        """Solve a batch; where it fails, halve it until the configurations are found that do, which become NaN."""
        batch = len(start.positions)
        try:
            solution = solve(self._chain.field, start, times, self._chain.solver)
        except SolverError as error:
            self._failure = error
            if batch == 1:
                lost = torch.full((len(times), *start.positions.shape), torch.nan).to(start.positions)
                return lost, lost
            parts = [
                self._solve(PhaseState(start.positions[some], start.velocities[some]), times)
                for some in (slice(batch // 2), slice(batch // 2, None))
            ]
            x, v = (torch.cat(both, dim=1) for both in zip(*parts, strict=True))
            return x, v
        self.evaluations += batch * solution.statistics.evaluations
        return solution.positions, solution.velocities
