"""The harmonic approximation of a field: the flow of small displacements over a short time, and how noise grows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.fields.base import Field
from neuralmd.system import PhaseState, Positions

_DISPLACEMENT = 0.004
"""[A]. Far above the rounding of float32, and still a change of a bond's stiffness of about one per cent."""

_PAIRS_AT_ONCE = 2**17
_SLOW = 1e-4
"""Below this (omega t)^2 the closed form of the noise loses digits, and its series has all of them."""

_MOST_GROWTH = 5.0

Stiffness = Float[Tensor, "batch coordinates coordinates"]
"""K [1/fs^2] in mass-weighted coordinates; its eigenvalues are omega^2."""


@dataclass(frozen=True, eq=False)
class LinearFlow:
    """What becomes of a small displacement (xi, nu) of positions and velocities, and of white noise on the way.

    Attributes:
        transition: Phi, with the columns of xi before those of nu.
        noise: Covariance of (xi, nu) after the time, for noise of unit density that began with it.
    """

    transition: Float[Tensor, "batch phase phase"]
    noise: Float[Tensor, "batch phase phase"]

    def then(self, later: LinearFlow) -> LinearFlow:
        """This flow, and the other one after it: Phi = Phi_2 Phi_1, Q = Phi_2 Q_1 Phi_2^T + Q_2."""
        second = later.transition
        return LinearFlow(second @ self.transition, second @ self.noise @ second.mT + later.noise)


@torch.no_grad()
def stiffness(field: Field, states: PhaseState, masses: Float[Tensor, " atoms"]) -> Stiffness:
    """K of a field at each state.

    K = -M^(1/2) (df/dx) M^(-1/2), its symmetric part

    by one-sided differences of the field: one evaluation at the state and one for each coordinate. A field that is no
    gradient of an energy has a small antisymmetric part, which is dropped.

    Args:
        field: f.
        states: Where to take it; a field that reads velocities is given them as they are.
        masses: Mass of each atom [amu].
    """
    coordinates = 3 * len(masses)
    x = states.positions
    shifts = _DISPLACEMENT * torch.eye(coordinates, dtype=x.dtype, device=x.device).unflatten(1, (-1, 3))
    moved = torch.cat((x[:, None], x[:, None] + shifts), dim=1).flatten(0, 1)
    velocities = states.velocities.repeat_interleave(coordinates + 1, dim=0)
    rows = max(1, _PAIRS_AT_ONCE // len(masses) ** 2)
    pieces = [field(PhaseState(*both)) for both in zip(moved.split(rows), velocities.split(rows), strict=True)]
    forces = torch.cat(pieces).double().reshape(len(x), coordinates + 1, coordinates)
    # What was added in float32 is not quite what was meant
    shifted = (moved.unflatten(0, (len(x), -1))[:, 1:] - x[:, None]).double().flatten(2)
    lengths = shifted.diagonal(dim1=1, dim2=2)
    slopes = (forces[:, 1:] - forces[:, :1]) / lengths[..., None]
    root = masses.double().sqrt().repeat_interleave(3)
    weighted = -slopes * root / root[:, None]
    return 0.5 * (weighted + weighted.mT)


def harmonic_flow(matrix: Stiffness, time: float) -> LinearFlow:
    """The flow of d^2 xi/dt^2 = -K xi + noise over a time [fs].

    Phi = [[c, s], [-K s, c]],  Q = [[(t - c s) / 2K, s^2/2], [s^2/2, (t + c s) / 2]]

    with c = cos(omega t) and s = sin(omega t) / omega for each mode; for a negative omega^2, cosh and sinh, where
    no mode is let grow by more than e^5. The noise is white, of unit density and equal for all mass-weighted
    coordinates, as a global thermostat's is.
    """
    squares, modes = torch.linalg.eigh(matrix)
    squares = squares.clamp_min(-((_MOST_GROWTH / time) ** 2))
    omega = squares.abs().sqrt()
    angle = omega * time
    stable = squares >= 0
    cosine = torch.where(stable, torch.cos(angle), torch.cosh(angle))
    safe = omega.clamp_min(torch.finfo(omega.dtype).tiny)
    sine = torch.where(angle > 0, torch.where(stable, torch.sin(angle), torch.sinh(angle)) / safe, time)
    phase = squares * time**2
    slow = time**3 / 3 * (1 - phase / 5)
    spread = torch.where(phase.abs() > _SLOW, (time - cosine * sine) / (2 * squares), slow)
    both = sine.square() / 2

    def of(values: Float[Tensor, "batch coordinates"]) -> Stiffness:
        return (modes * values[:, None, :]) @ modes.mT

    same = of(cosine)
    transition = _blocks(same, of(sine), of(-squares * sine), same)
    mixed = of(both)
    return LinearFlow(transition, _blocks(of(spread), mixed, mixed, of((time + cosine * sine) / 2)))


def weighted(values: Positions, masses: Float[Tensor, " atoms"]) -> Float[Tensor, "batch coordinates"]:
    """Mass-weighted coordinates sqrt(m) x, one row for each configuration."""
    return (values.double() * masses.sqrt()[:, None]).flatten(1)


def unweighted(values: Float[Tensor, "batch coordinates"], masses: Float[Tensor, " atoms"]) -> Positions:
    """The inverse of `weighted`."""
    return values.unflatten(1, (-1, 3)) / masses.sqrt()[:, None]


def _blocks(
    top_left: Stiffness, top_right: Stiffness, bottom_left: Stiffness, bottom_right: Stiffness
) -> Float[Tensor, "batch phase phase"]:
    top, bottom = torch.cat((top_left, top_right), dim=2), torch.cat((bottom_left, bottom_right), dim=2)
    return torch.cat((top, bottom), dim=1)
