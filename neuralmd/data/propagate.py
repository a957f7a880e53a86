"""`Simulation`: from one saved state to the next, through frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.optimize import BFGS

from neuralmd.data.blocks import Block, SimulationState
from neuralmd.data.simulation_settings import SimulationSettings
from neuralmd.data.thermostats import (
    CHAIN_LENGTH,
    Bath,
    degrees_of_freedom,
    dynamics,
    generator_from_json,
    generator_to_json,
    set_rotating,
    thermalise,
)
from neuralmd.errors import DataError
from neuralmd.units import ASE_TIME, BOLTZMANN

_FORCE_TOLERANCE: Final = 0.01
"""Largest force of a relaxed structure [eV/A]."""

_RELAXATION_STEPS: Final = 2000

_BLOWN_UP: Final = 50.0
"""Times the temperature; thermal fluctuations, even of one degree of freedom, stay below."""


@dataclass(frozen=True, eq=False)
class Simulation:
    """A molecule, what computes its forces, and how to simulate it.

    Each method is a pure function of its arguments: the calculator forgets its past before it, and all else that the
    next step depends on is in the state.

    Attributes:
        atoms: The structure before relaxation.
        calculator: What computes energies and forces.
        settings: How to simulate.
    """

    atoms: Atoms
    calculator: Calculator
    settings: SimulationSettings

    def start(self) -> Block:
        """Relax with BFGS and draw velocities: the block without frames that holds the first state.

        Raises:
            DataError: If the calculator fails or the structure does not relax.
        """
        atoms = self._fresh_atoms()
        relaxation = BFGS(atoms, logfile=None)
        try:
            relaxed = relaxation.run(fmax=_FORCE_TOLERANCE, steps=_RELAXATION_STEPS)
        except RuntimeError as error:
            raise DataError(self._failure("while relaxing", error)) from error
        if not relaxed:
            raise DataError(
                f"the structure did not relax below {_FORCE_TOLERANCE} eV/A in {_RELAXATION_STEPS} steps: "
                "start from a better one"
            )
        generator = np.random.Generator(np.random.PCG64(self.settings.seed))
        thermalise(atoms, self.settings.temperature, generator)
        state = SimulationState(
            atoms.get_positions(), atoms.get_momenta(), np.zeros((2, CHAIN_LENGTH)), generator_to_json(generator)
        )
        return Block.without_frames(state)

    def advance(self, state: SimulationState, first: int, last: int, progress: Callable[[int], None]) -> Block:
        """Integrate from step first to step last, in equilibration or after it, and keep the frames to be stored.

        Raises:
            DataError: If the calculator fails or the simulation blows up.
        """
        settings, equilibration = self.settings, self.settings.equilibration_steps
        equilibrating = last <= equilibration
        atoms = self._fresh_atoms()
        atoms.set_positions(state.positions)
        atoms.set_momenta(state.momenta)
        generator, chain = generator_from_json(state.generator), state.chain.copy()
        if first == equilibration and settings.rotates:
            set_rotating(atoms, settings.rotation_temperature, generator)
        integrator = dynamics(atoms, self._bath(equilibrating=equilibrating), generator, chain)
        freedom = degrees_of_freedom(atoms, rotates=settings.rotates)
        limit = _BLOWN_UP * 0.5 * BOLTZMANN * max(settings.temperature, settings.rotation_temperature) * freedom
        frames: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]] = []
        for step in range(first + 1, last + 1):
            try:
                integrator.step()
            except RuntimeError as error:
                raise DataError(self._failure(f"at step {step}", error)) from error
            if not atoms.get_kinetic_energy() < limit:
                raise DataError(
                    f"the simulation blew up at step {step}, {_BLOWN_UP:.0f} times hotter than "
                    f"{settings.temperature} K: lower the integrator's time step of {settings.integrator_step:g} fs"
                )
            if not equilibrating and (step - equilibration) % settings.steps_per_frame == 0:
                frames.append(_frame(atoms))
            progress(step)
        end = SimulationState(atoms.get_positions(), atoms.get_momenta(), chain, generator_to_json(generator))
        if not frames:
            return Block.without_frames(end)
        positions, velocities, forces, energies = (np.array(values) for values in zip(*frames, strict=True))
        return Block(positions, velocities, forces, energies, end)

    def _fresh_atoms(self) -> Atoms:
        atoms = self.atoms.copy()
        self.calculator.reset()
        atoms.calc = self.calculator
        return atoms

    def _bath(self, *, equilibrating: bool) -> Bath:
        settings = self.settings
        ensemble = "bussi" if equilibrating and settings.ensemble == "nve" else settings.ensemble
        rotates = settings.rotates and not equilibrating
        return Bath(ensemble, settings.temperature, settings.thermostat_time, settings.integrator_step, rotates)

    def _failure(self, where: str, error: RuntimeError) -> str:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        return (
            f"{self.settings.method} failed {where} ({reason}): is the structure sound, and the time step small enough?"
        )


def _frame(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Positions [A], velocities [A/fs], forces [eV/A] and potential energy [eV]."""
    forces = atoms.get_forces(apply_constraint=False)
    return atoms.get_positions(), atoms.get_velocities() / ASE_TIME, forces, float(atoms.get_potential_energy())
