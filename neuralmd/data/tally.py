"""Running sums over the frames of a trajectory that is read block by block: temperature, drift, jumps, velocities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY

_NO_ROTATION: Final = 0.02
"""Angular momentum, as a part of the largest that such speeds could have, below which rotation counts as frozen."""


def temperatures(
    positions: Float[np.ndarray, "frames atoms 3"], velocities: Float[np.ndarray, "frames atoms 3"], system: System
) -> Float[np.ndarray, " frames"]:
    """T = sum_i m_i |v_i - v_com|^2 / (f k_B), the temperature of each frame [K].

    f is that of `degrees_of_freedom`. A single atom keeps its velocity.
    """
    masses = system.masses[:, None]
    velocities = without_drift(velocities, system)
    freedom = degrees_of_freedom(positions, velocities, system)
    return KINETIC_ENERGY * (masses * velocities**2).sum(axis=(1, 2)) / (freedom * BOLTZMANN)


def degrees_of_freedom(
    positions: Float[np.ndarray, "frames atoms 3"], velocities: Float[np.ndarray, "frames atoms 3"], system: System
) -> Int[np.ndarray, " frames"]:
    """The number of momenta that are free in each frame.

    f = 3N - 3; 3N - 6, or 3N - 5 for two atoms, in frames that do not rotate, as those of a simulation of a molecule
    that began without angular momentum; 3 for a single atom.
    """
    if system.atoms == 1:
        return np.full(len(positions), 3)
    masses = system.masses[:, None]
    positions, velocities = without_drift(positions, system), without_drift(velocities, system)
    inertia, speed = ((masses * x**2).sum(axis=(1, 2)) for x in (positions, velocities))
    angular = np.linalg.norm((masses * np.cross(positions, velocities)).sum(axis=1), axis=1)
    still = angular < _NO_ROTATION * np.sqrt(inertia * speed)
    rotations = 2 if system.atoms == 2 else 3
    return 3 * system.atoms - 3 - np.where(still, rotations, 0)


def without_drift(vectors: Float[np.ndarray, "frames atoms 3"], system: System) -> Float[np.ndarray, "frames atoms 3"]:
    """Positions or velocities less those of the centre of mass; those of a single atom as they are."""
    if system.atoms == 1:
        return vectors
    masses = system.masses[:, None]
    return vectors - (vectors * masses).sum(axis=1, keepdims=True) / masses.sum()


@dataclass
class Extreme:
    """The largest value of a kind, and the frame where it is."""

    value: float = 0.0
    frame: int = -1

    def update(self, values: Float[np.ndarray, " frames"], first: int) -> None:
        """Take the values of some frames into account."""
        if len(values) and float(values.max()) > self.value:
            self.value = float(values.max())
            self.frame = first + int(values.argmax())


@dataclass
class Tally:
    """Sums over all frames seen so far.

    Attributes:
        system: The atoms.
        temperature: Count, sum and sum of squares of the temperature [K], by segment.
        drift: Largest displacement of the centre of mass from where its segment began [A].
        step: Largest displacement of one atom from a frame to the next [A].
        crossing: Largest displacement from a frame to the next as a fraction of a periodic cell vector.
        squares: Sum of d(i)^2, where d(i) = x(i+1) - x(i), and number of its terms.
        products: Sums of d(i)^2 and of d(i-1).d(i), over inner frames.
        moments: Sums of v.v, v.w and w.w, with stored velocities v and central differences w.
        not_finite: First frame in which an array holds NaN or infinity, by name.
    """

    system: System
    temperature: list[np.ndarray] = field(default_factory=list)
    drift: Extreme = field(default_factory=Extreme)
    step: Extreme = field(default_factory=Extreme)
    crossing: Extreme = field(default_factory=Extreme)
    squares: np.ndarray = field(default_factory=lambda: np.zeros(2))
    products: np.ndarray = field(default_factory=lambda: np.zeros(2))
    moments: np.ndarray = field(default_factory=lambda: np.zeros(3))
    not_finite: dict[str, int] = field(default_factory=dict)
    _origin: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def start(self, segment: Segment) -> None:
        """Begin a segment."""
        self._segment = segment
        self.temperature.append(np.zeros(3))

    def add(self, block: Trajectory, low: int, start: int, stop: int) -> None:
        """Take the frames from start up to stop into account.

        Args:
            block: These frames, with one more on each side where the segment has it.
            low: Index in the file of the block's first frame.
            start: Index in the file of the first frame to count.
            stop: Index in the file after the last frame to count.
        """
        inner = slice(max(start, self._segment.start + 1) - low, min(stop, self._segment.stop - 1) - low)
        count = max(0, inner.stop - inner.start)
        frames = slice(start - low, stop - low)
        self._add_displacements(block.positions, frames, start)
        steps = np.diff(block.positions, axis=0)
        before = steps[inner.start - 1 : inner.start - 1 + count] if count else steps[:0]
        after = steps[inner.start : inner.start + count]
        self.products += [np.sum(after * after), np.sum(before * after)]
        central = (before + after) / (2.0 * self._segment.timestep)
        if block.velocities is None:
            self._add_temperature(block.positions[inner], central)
        else:
            self._add_temperature(block.positions[frames], block.velocities[frames])
            stored = block.velocities[inner.start : inner.start + count]
            self.moments += [np.sum(stored**2), np.sum(stored * central), np.sum(central**2)]
        for name, array in (
            ("velocities", block.velocities),
            ("forces", block.forces),
            ("energies", block.energies),
        ):
            if array is not None and name not in self.not_finite:
                bad = ~np.isfinite(array[frames]).reshape(stop - start, -1).all(axis=1)
                if bad.any():
                    self.not_finite[name] = start + int(bad.argmax())

    def _add_displacements(self, positions: Float[np.ndarray, "frames atoms 3"], frames: slice, start: int) -> None:
        steps = np.diff(positions[frames.start : frames.stop + 1], axis=0)
        self.step.update(np.linalg.norm(steps, axis=2).max(axis=1), start)
        self.squares += [np.sum(steps**2), steps.shape[0] * steps.shape[1]]
        pbc = self.system.pbc
        if pbc.any() and abs(np.linalg.det(self.system.cell)) > 0:
            fractions = np.abs(steps @ np.linalg.inv(self.system.cell))[..., pbc]
            self.crossing.update(fractions.max(axis=(1, 2)), start)
        centre = np.einsum("fac,a->fc", positions[frames], self.system.masses) / self.system.masses.sum()
        if start == self._segment.start:
            self._origin = centre[0]
        self.drift.update(np.linalg.norm(centre - self._origin, axis=1), start)

    def _add_temperature(
        self, positions: Float[np.ndarray, "frames atoms 3"], velocities: Float[np.ndarray, "frames atoms 3"]
    ) -> None:
        kelvin = temperatures(positions, velocities, self.system)
        kelvin = kelvin[np.isfinite(kelvin)]
        self.temperature[-1] += [len(kelvin), kelvin.sum(), (kelvin**2).sum()]
