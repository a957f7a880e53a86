"""Simulating a molecule into a trajectory file, so that a killed run goes on where it was, to the same last digit.

A block is a pure function of the state before it. Each one starts from the saved positions, momenta, thermostat and
generator of random numbers, with a calculator that has forgotten its past, in an unbroken run just as in a resumed one.
Forgetting matters: the self-consistent cycle of xTB starts from the last electron density and stops at a threshold, so
that forces depend a little on the steps before (1e-5 A in the positions of water after 100 steps).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from neuralmd.data.blocks import BlockFolder
from neuralmd.data.engines import check_engine, describe, single_thread
from neuralmd.data.files import TrajectoryWriter
from neuralmd.data.formats import create
from neuralmd.data.propagate import Simulation
from neuralmd.data.simulation_settings import SimulationSettings
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.errors import DataError
from neuralmd.system import System

__all__ = ["SimulationSettings", "simulate"]

_FIELDS: Final = frozenset({"velocities", "forces", "energies"})


def simulate(
    atoms: Atoms,
    calculator: Calculator,
    settings: SimulationSettings,
    output: Path | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Relax, thermalise, equilibrate and simulate a molecule; write positions, velocities, forces and energies.

    Until the end, all is kept in the folder OUTPUT.blocks, so that a kill loses one block at most. On the same machine,
    a resumed run writes the same numbers as an unbroken one.

    Args:
        atoms: Where to start; not changed.
        calculator: What computes energies and forces, as from `neuralmd.data.engines.calculator`. `reset()` must make
            it forget its past.
        settings: How to simulate.
        output: The trajectory file to write; its suffix tells the format.
        resume: Go on with OUTPUT.blocks where there is one, else start.
        overwrite: Replace an output that exists and, unless resuming, an OUTPUT.blocks that exists.
        progress: Called with the number of steps done so far, out of `settings.total_steps`.

    Raises:
        ConfigError: If the settings name another method than the calculator's.
        DataError: If the output exists or cannot be written, OUTPUT.blocks exists or was begun with other settings, the
            structure cannot be simulated, or not rotate, the calculator fails, or the simulation blows up.
        KeyboardInterrupt: On Ctrl-C, with a message that says how to go on.
    """
    check_engine(calculator, settings.method)
    output = Path(output)
    _check_structure(atoms, settings)
    simulation = Simulation(atoms.copy(), calculator, settings)
    _writer(simulation, output, overwrite=overwrite).abandon()  # finds a bad output before the simulation, not after it
    folder = BlockFolder(output.with_name(output.name + ".blocks"))
    try:
        _prepare(folder, simulation, resume=resume, overwrite=overwrite)
        with single_thread():
            _fill(folder, simulation, progress or _no_progress)
        with _writer(simulation, output, overwrite=overwrite) as writer:
            _join(folder, simulation, writer)
    except KeyboardInterrupt:
        message = f"stopped; what was simulated is in {folder.path}: go on with the same command and --resume"
        raise KeyboardInterrupt(message) from None
    folder.remove()


def _fill(folder: BlockFolder, simulation: Simulation, progress: Callable[[int], None]) -> None:
    """Simulate all blocks that the folder lacks."""
    ends = simulation.settings.block_ends()
    index, block = folder.last_whole() or (0, None)
    if block is None:
        block = simulation.start()
        folder.write(0, block)
    progress(ends[index])
    for number, (first, last) in enumerate(itertools.pairwise(ends[index:]), index + 1):
        block = simulation.advance(block.end, first, last, progress)
        folder.write(number, block)
    progress(simulation.settings.total_steps)


def _join(folder: BlockFolder, simulation: Simulation, writer: TrajectoryWriter) -> None:
    """Write the frames of all blocks into the trajectory file."""
    settings = simulation.settings
    system = _system(simulation.atoms)
    for index in range(len(settings.block_ends())):
        block = folder.read(index)
        if len(block.energies) > 0:
            trajectory = Trajectory.uniform(
                system,
                block.positions,
                settings.timestep * settings.every,
                velocities=block.velocities,
                forces=block.forces,
                energies=block.energies,
            )
            writer.append(trajectory)


def _writer(simulation: Simulation, output: Path, *, overwrite: bool) -> TrajectoryWriter:
    settings = simulation.settings
    described = {key: str(value) for key, value in asdict(settings).items() if key != "block"}
    molecule = str(simulation.atoms.info.get("name", simulation.atoms.get_chemical_formula()))
    return create(
        output,
        _system(simulation.atoms),
        timestep=settings.timestep * settings.every,
        fields=_FIELDS,
        velocity_source=VelocitySource.STORED,
        metadata={"molecule": molecule, **described, **describe(simulation.calculator)},
        overwrite=overwrite,
    )


def _prepare(folder: BlockFolder, simulation: Simulation, *, resume: bool, overwrite: bool) -> None:
    """Begin the folder of blocks, or check that it is one to go on with."""
    request = _request(simulation)
    if resume and folder.begun:
        folder.check(request)
        return
    if folder.begun and not overwrite:
        raise DataError(
            f"{folder.path} holds an unfinished simulation: go on with --resume, or start anew with --overwrite"
        )
    folder.remove()
    folder.begin(request)


def _request(simulation: Simulation) -> dict[str, object]:
    """All that the result depends on, for JSON."""
    atoms = simulation.atoms
    structure = {
        "atomic_numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "masses": atoms.get_masses().tolist(),
        "charges": atoms.get_initial_charges().tolist(),
        "magnetic_moments": atoms.get_initial_magnetic_moments().tolist(),
        "cell": np.array(atoms.cell).tolist(),
        "pbc": atoms.pbc.tolist(),
    }
    return {"settings": asdict(simulation.settings), "structure": structure, "engine": describe(simulation.calculator)}


def _system(atoms: Atoms) -> System:
    return System(atoms.numbers.astype(np.int64), atoms.get_masses(), np.array(atoms.cell), np.array(atoms.pbc))


def _check_structure(atoms: Atoms, settings: SimulationSettings) -> None:
    if len(atoms) < 2:
        raise DataError(f"a simulation needs at least two atoms, but {len(atoms)} came")
    if atoms.constraints:
        raise DataError("the structure has constraints, which a simulation would not keep: remove them")
    if not np.isfinite(atoms.positions).all():
        raise DataError("the structure has positions that are not finite")
    if settings.rotates and atoms.pbc.any():
        raise DataError(
            f"a periodic structure cannot rotate, but rotation_temperature is {settings.rotation_temperature:g} K: "
            "leave it at 0"
        )


def _no_progress(done: int) -> None:
    """Tell nobody."""
