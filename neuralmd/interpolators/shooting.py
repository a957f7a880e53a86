"""`infer_velocities`: the velocities of known frames from their positions alone, by multiple shooting with a field."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuralmd.errors import ConfigError, DataError
from neuralmd.fields.base import Field
from neuralmd.interpolators.gauss_newton import Chain, GaussNewton
from neuralmd.interpolators.harmonic import unweighted
from neuralmd.ode.solvers import Solver
from neuralmd.system import Positions, System, Velocities
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY, WAVENUMBER_PERIOD

_ANCHORS_AT_ONCE = 64
MARGIN = 8
"""Frames on either side of a block that take part and are not kept; a reader of parts of a file should add them."""

_FAILED = 0.1
"""Part of the thermal width: where the last step is larger than that, the search has not come to rest."""


@dataclass(frozen=True)
class Shooting:
    """How to infer velocities.

    Attributes:
        temperature: T of the thermal prior [K]; none to estimate it from the frames.
        noise: Density of the white noise of mass-weighted accelerations, what a thermostat adds and the field does not
            know [amu A^2/fs^3]; none to estimate it from the frames. A thermostat of friction gamma has 2 gamma kT.
        iterations: Most Gauss-Newton steps.
        piece: Longest time for which the field's linearisation is frozen [fs].

    Raises:
        ConfigError: If a number is not positive and finite.
    """

    temperature: float | None = None
    noise: float | None = None
    iterations: int = 10
    piece: float = 5.0

    def __post_init__(self) -> None:
        numbers = {
            "temperature [K]": self.temperature,
            "noise [amu A^2/fs^3]": self.noise,
            "number of iterations": self.iterations,
            "piece [fs]": self.piece,
        }
        for name, value in numbers.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"the {name} of an inference of velocities must be positive, but is {value}")


@dataclass(frozen=True, eq=False)
class Inferred:
    """Velocities of known frames, and what is known of them.

    Attributes:
        velocities: v [A/fs].
        spread: Standard deviation of each component of each atom [A/fs]; thermal where the positions tell nothing.
        blind: Share of its thermal variance that v keeps along the direction that is known least: near 0 if the
            positions tell all of v, 1 if they do not tell one of its components at all.
        wavenumber: Of that direction [cm^-1], from the energy's curvature along it.
        converged: Where the search came to rest. Elsewhere v is the natural cubic spline's, and its spread takes it
            for worth nothing.
        temperature: T of the prior, for each frame [K].
        noise: Density of the noise, for each frame [amu A^2/fs^3].
        evaluations: Configurations at which the field was evaluated, per frame.
    """

    velocities: Velocities
    spread: Velocities
    blind: Float[Tensor, " frames"]
    wavenumber: Float[Tensor, " frames"]
    converged: Bool[Tensor, " frames"]
    temperature: Float[Tensor, " frames"]
    noise: Float[Tensor, " frames"]
    evaluations: Float[Tensor, " frames"]

    def __getitem__(self, frames: slice) -> Inferred:
        """Some of the frames."""
        return Inferred(
            self.velocities[frames],
            self.spread[frames],
            self.blind[frames],
            self.wavenumber[frames],
            self.converged[frames],
            self.temperature[frames],
            self.noise[frames],
            self.evaluations[frames],
        )


@dataclass(frozen=True, eq=False)
class Dynamics:
    """What moves the atoms.

    Attributes:
        system: The atoms.
        field: Their acceleration.
        solver: What integrates it.
    """

    system: System
    field: Field
    solver: Solver


@torch.no_grad()
def infer_velocities(
    dynamics: Dynamics,
    positions: Positions,
    gap: float,
    how: Shooting | None = None,
    advance: Callable[[int], None] | None = None,
) -> Inferred:
    """Find the velocities with which a field's solutions go from each frame to the next.

    min over all v_j of  sum_j |r_j|^2_Q + prior,  r_j = (x_j+1, v_j+1) - phi(x_j, v_j)

    phi is the flow over one gap. Its residual r is weighted by the covariance Q of white noise that grew along the
    gap, and the prior is thermal, v ~ N(0, kT/m). Gauss-Newton steps, from the velocities of the natural cubic spline;
    see `GaussNewton`. The spread is that of the linearised problem at the solution, and wider beside a gap that the
    solution misses by more than the noise explains, as it does where the search ended in a wrong minimum.

    **Where it is ill-posed.** A mode of frequency omega answers a change of v with a change of the next position of
    sin(omega gap) / omega: nothing if the gap is a multiple of half its period. The next frames cannot help either, as
    they see the same. v keeps its thermal spread along such a mode, and `blind` is near 1. Near to it, the frequency
    of an anharmonic mode decides which amplitude fits, and a wrong one may fit too: then the search is made again from
    where it went best, and the better of both minima counts.

    Frames are taken in blocks of about 64 and 8 more on either side. Blocks differ in their estimates of T and of the
    noise, so a longer sequence moves the velocities by some per cent of their spread; by up to the spread where a gap
    is near to half a period, as then all frames of a block share what is known.

    Args:
        dynamics: What moves the atoms.
        positions: Known frames, evenly spaced in time, at least two [A].
        gap: Time from frame to frame [fs].
        how: Prior, noise and effort.
        advance: Called with the number of frames done.

    Raises:
        DataError: If there are fewer than two frames, or one is not finite.
        SolverError: If not a single gap of a block can be solved.
    """
    settings = how or Shooting()
    if len(positions) < 2:
        raise DataError(f"velocities are inferred from at least two frames, but {len(positions)} came")
    if not bool(torch.isfinite(positions).all()):
        raise DataError("velocities are inferred from positions, but some of these are NaN or infinite")
    blocks = []
    # Ends need no margin: what a reader gives with margins of its own is one block again
    count = max(1, math.ceil((len(positions) - 2 * MARGIN - 1) / _ANCHORS_AT_ONCE))
    for index in range(count):
        first, stop = (len(positions) * edge // count for edge in (index, index + 1))
        lowest = max(first - MARGIN, 0)
        some = _infer(dynamics, positions[lowest : stop + MARGIN].double(), gap, settings)
        blocks.append(some[first - lowest : stop - lowest])
        if advance is not None:
            advance(stop)
    return join(blocks)


def join(blocks: list[Inferred]) -> Inferred:
    """Sequences of frames, one after the other."""
    return Inferred(
        torch.cat([block.velocities for block in blocks]),
        torch.cat([block.spread for block in blocks]),
        torch.cat([block.blind for block in blocks]),
        torch.cat([block.wavenumber for block in blocks]),
        torch.cat([block.converged for block in blocks]),
        torch.cat([block.temperature for block in blocks]),
        torch.cat([block.noise for block in blocks]),
        torch.cat([block.evaluations for block in blocks]),
    )


def _infer(dynamics: Dynamics, positions: Positions, gap: float, how: Shooting) -> Inferred:
    masses = torch.as_tensor(dynamics.system.masses, dtype=torch.float64, device=positions.device)
    chain = Chain(dynamics.field, dynamics.solver, masses, positions, gap, how.piece)
    spline = _spline_velocities(positions, gap)
    energy = None if how.temperature is None else BOLTZMANN * how.temperature / KINETIC_ENERGY
    search, doubt = _search(chain, spline, energy, how)
    thermal = search.energy
    failed = (search.step.square().mean(1) > _FAILED**2 * thermal) | ~_touched(search.alive)
    variance = search.covariance.diagonal(dim1=1, dim2=2) * _excess(search.misfit)[:, None] + doubt
    velocities = torch.where(failed[:, None, None], spline, unweighted(search.velocities, masses))
    nothing = thermal / masses[:, None] + spline.square()
    spread = torch.where(failed[:, None, None], nothing, variance.unflatten(1, (-1, 3)) / masses[:, None])
    blind, wavenumber = _least_known(search)
    same = torch.ones(len(positions), dtype=torch.float64, device=positions.device)
    return Inferred(
        velocities=velocities,
        spread=spread.sqrt(),
        blind=torch.where(failed, 1.0, blind),
        wavenumber=wavenumber,
        converged=~failed,
        temperature=same * (thermal * KINETIC_ENERGY / BOLTZMANN),
        noise=same * search.density,
        evaluations=same * (search.evaluations / len(positions)),
    )


def _search(
    chain: Chain, spline: Velocities, energy: float | None, how: Shooting
) -> tuple[GaussNewton, Float[Tensor, "frames coordinates"]]:
    """The best minimum that was found, and the variance that the search itself leaves in doubt."""
    best = _minimised(GaussNewton(chain, spline, energy, how.noise), how.iterations)
    if not best.ambiguous:
        return best, best.step.square()
    other = _minimised(GaussNewton(chain, best.continued(), energy, how.noise), how.iterations)
    other.evaluations = best.evaluations = best.evaluations + other.evaluations
    if (int(other.alive.sum()), -other.cost) > (int(best.alive.sum()), -best.cost):
        best, other = other, best
    # Of two minima, each is as likely as its cost makes it
    odds = math.exp(min(0.5 * (best.cost - other.cost) / best.density, 0.0))
    apart = (best.velocities - other.velocities).square()
    return best, best.step.square() + odds / (1.0 + odds) * apart


def _minimised(search: GaussNewton, iterations: int) -> GaussNewton:
    for _ in range(iterations):
        search.advance()
        if search.at_rest:
            break
    return search


def _least_known(search: GaussNewton) -> tuple[Float[Tensor, " frames"], Float[Tensor, " frames"]]:
    """The largest share of thermal variance that is left in any direction of each frame, and its wavenumber."""
    variances, directions = torch.linalg.eigh(search.covariance)
    direction = directions[:, :, -1]
    curvature = torch.cat((search.curvature, search.curvature[-1:]))
    square = torch.einsum("fi,fij,fj->f", direction, curvature, direction).clamp_min(0.0)
    return (variances[:, -1] / search.energy).clamp(max=1.0), square.sqrt() * (WAVENUMBER_PERIOD / (2 * math.pi))


def _excess(misfit: Float[Tensor, " gaps"]) -> Float[Tensor, " frames"]:
    """By how much the gaps beside each frame miss more than the noise explains, 1 or more."""
    around = torch.stack((torch.cat((misfit, misfit[-1:])), torch.cat((misfit[:1], misfit))))
    return around.mean(0).clamp_min(1.0)


def _touched(alive: Bool[Tensor, " gaps"]) -> Bool[Tensor, " frames"]:
    """Which frames have a gap beside them that could be solved."""
    nothing = alive.new_zeros(1)
    return torch.cat((alive, nothing)) | torch.cat((nothing, alive))


def _spline_velocities(positions: Positions, gap: float) -> Velocities:
    from scipy.interpolate import CubicSpline

    times = torch.arange(len(positions), dtype=torch.float64).numpy() * gap
    spline = CubicSpline(times, positions.cpu().numpy(), bc_type="natural")
    return torch.as_tensor(spline(times, 1)).to(positions)
