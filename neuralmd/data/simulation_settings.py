"""`SimulationSettings`: how to simulate, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from neuralmd.errors import ConfigError

ENSEMBLES: Final = ("nve", "bussi", "langevin", "nose-hoover")
"""The ensembles that can be simulated."""


@dataclass(frozen=True)
class SimulationSettings:
    """How to simulate.

    Attributes:
        method: What computes the forces: "gfn2-xtb", "gfn1-xtb", or any other name for a calculator of your own.
        ensemble: "nve", "bussi", "langevin" or "nose-hoover".
        temperature: T [K]. In an nve run, that of the equilibration, which a Bussi thermostat does.
        rotation_temperature: T of the rotation that a free molecule is given after equilibration [K]; 0 for none. In an
            nve run it stays. What rescales velocities (Bussi, Nose-Hoover) keeps the direction of the angular momentum,
            and lets its size relax, within picoseconds, to that of a rotation at T.
        timestep: dt [fs], in which steps, equilibration and every are counted.
        steps: Time steps after equilibration.
        equilibration: Time steps before the first that may be stored.
        thermostat_time: Time constant of the thermostat [fs]; for Langevin 1 / friction.
        seed: Of the random numbers: initial velocities and thermostat.
        every: Store the frame after every so many time steps; a multiple of `coarse`.
        coarse: Time steps that the integrator takes at once. Beyond 1 the simulation costs so many times less, and its
            dynamics is another one: velocity Verlet with a step of h gives an oscillation of wavenumber n that of
            asin(pi c n h) / (pi c h), which is higher.
        block: Frames in a block, the most that a kill can lose.
    """

    method: str = "gfn2-xtb"
    ensemble: str = "bussi"
    temperature: float = 500.0
    rotation_temperature: float = 0.0
    timestep: float = 0.5
    steps: int = 20000
    equilibration: int = 4000
    thermostat_time: float = 100.0
    seed: int = 0
    every: int = 1
    coarse: int = 1
    block: int = 500

    def __post_init__(self) -> None:
        if self.ensemble not in ENSEMBLES:
            raise ConfigError(f"the ensemble must be one of {', '.join(ENSEMBLES)}, but is {self.ensemble!r}")
        for name, value, unit in (
            ("temperature", self.temperature, "K"),
            ("timestep", self.timestep, "fs"),
            ("thermostat_time", self.thermostat_time, "fs"),
        ):
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be positive and finite [{unit}], but is {value}")
        if not (math.isfinite(self.rotation_temperature) and self.rotation_temperature >= 0):
            raise ConfigError(f"rotation_temperature must be finite, and not negative [K]: {self.rotation_temperature}")
        for name, number, smallest in (
            ("steps", self.steps, 1),
            ("equilibration", self.equilibration, 0),
            ("seed", self.seed, 0),
            ("coarse", self.coarse, 1),
            ("every", self.every, 1),
            ("block", self.block, 1),
        ):
            if number < smallest:
                raise ConfigError(f"{name} must be at least {smallest}, but is {number}")
        if self.every % self.coarse != 0:
            raise ConfigError(
                f"every must be a multiple of coarse, {self.coarse}, but is {self.every}: a simulation that takes "
                f"{self.coarse} time steps at once passes through no other frames"
            )
        if self.frames == 0:
            raise ConfigError(f"every {self.every}th of {self.steps} steps leaves no frame: raise steps or lower every")

    @property
    def frames(self) -> int:
        """Number of frames that are stored."""
        return self.steps // self.every

    @property
    def rotates(self) -> bool:
        """Whether the molecule has angular momentum after equilibration."""
        return self.rotation_temperature > 0

    @property
    def integrator_step(self) -> float:
        """The step of the integrator [fs]."""
        return self.timestep * self.coarse

    @property
    def equilibration_steps(self) -> int:
        """Integration steps of the equilibration, which lasts no shorter than was asked for."""
        return -(-self.equilibration // self.coarse)

    @property
    def steps_per_frame(self) -> int:
        """Integration steps from one stored frame to the next."""
        return self.every // self.coarse

    @property
    def total_steps(self) -> int:
        """Number of integration steps, the last value of progress."""
        return self.equilibration_steps + self.steps // self.coarse

    def block_ends(self) -> list[int]:
        """The integration step after which each block ends; block 0 is the state before the first step."""
        length = self.block * self.steps_per_frame
        first = self.equilibration_steps
        last = first + self.frames * self.steps_per_frame
        return [*range(0, first, length), *range(first, last, length), last]


def integrator_step(metadata: Mapping[str, str]) -> float | None:
    """The step of the integrator [fs] that made a file of `simulate`, by its metadata; none for any other file."""
    try:
        step = float(metadata["timestep"]) * int(metadata.get("coarse", "1"))
    except (KeyError, ValueError):
        return None
    return step if math.isfinite(step) and step > 0 else None
