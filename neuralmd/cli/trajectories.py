"""Commands on trajectory files: simulate one, look at one, thin one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuralmd.cli.declarations import declared, losses, tell
from neuralmd.cli.options import DropCell, Lengths, Overwrite, Timestep, Topology, Velocities, Wrap

Every = Annotated[
    int | None,
    typer.Option(help="Store the frame after every so many steps; by default after each that the integrator takes."),
]
Coarse = Annotated[
    int, typer.Option(help="A coarse simulation: the integrator takes so many steps at once, and costs so much less.")
]


def simulate(
    molecule: Annotated[str, typer.Argument(help="A name (benzene, CH3OH), SMILES, or a structure file.")],
    output: Annotated[Path, typer.Argument(help="Trajectory file to write (.h5).")],
    method: Annotated[str, typer.Option(help="gfn2-xtb or gfn1-xtb.")] = "gfn2-xtb",
    ensemble: Annotated[str, typer.Option(help="nve, bussi, langevin or nose-hoover.")] = "bussi",
    temperature: Annotated[float, typer.Option(help="Temperature [K].")] = 500.0,
    rotation_temperature: Annotated[
        float, typer.Option(help="Temperature of the rotation given to the molecule after equilibration [K].")
    ] = 0.0,
    timestep: Annotated[float, typer.Option(help="Time step [fs].")] = 0.5,
    steps: Annotated[int, typer.Option(help="Steps to record.")] = 20_000,
    equilibration: Annotated[int, typer.Option(help="Steps before them, not recorded.")] = 4_000,
    thermostat_time: Annotated[float, typer.Option(help="Time constant of the thermostat [fs].")] = 100.0,
    every: Every = None,
    coarse: Coarse = 1,
    seed: Annotated[int, typer.Option(help="Seed of velocities and thermostat.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a simulation that was stopped.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a molecule with GFN2-xTB and write its trajectory."""
    from neuralmd.data.engines import calculator
    from neuralmd.data.molecules import molecule as structure
    from neuralmd.data.simulate import SimulationSettings
    from neuralmd.data.simulate import simulate as run
    from neuralmd.progress import progress

    settings = SimulationSettings(
        method=method,
        ensemble=ensemble,
        temperature=temperature,
        rotation_temperature=rotation_temperature,
        timestep=timestep,
        steps=steps,
        equilibration=equilibration,
        thermostat_time=thermostat_time,
        seed=seed,
        every=coarse if every is None else every,
        coarse=coarse,
    )
    atoms, engine = structure(molecule), calculator(method)
    with progress(f"simulate {molecule}", settings.total_steps) as advance:
        run(atoms, engine, settings, output, resume=resume, overwrite=overwrite, progress=advance)
    typer.echo(f"{output}: {settings.frames} frames of {molecule}")
    if coarse > 1:
        typer.echo(
            f"{settings.total_steps} steps of {settings.integrator_step:g} fs; `neuralmd reconstruct --stride "
            f"{settings.every}` rebuilds frames {timestep:g} fs apart, `neuralmd mismatch` tells if that makes sense"
        )


def info(
    file: Annotated[Path, typer.Argument(help="Trajectory file.")],
    timestep: Timestep = None,
    topology: Topology = None,
    length_unit: Lengths = None,
    velocity_unit: Velocities = None,
    drop_cell: DropCell = False,
) -> None:
    """Show what a trajectory file holds, and what is suspicious about it."""
    from neuralmd.cli.tables import inspection_table, show
    from neuralmd.data.formats import open_reader
    from neuralmd.data.inspection import inspect

    how = declared(topology, length_unit, velocity_unit, drop_cell)
    with open_reader(file, timestep=timestep, declared=how) as reader:
        result = inspect(reader)
    tell(result.notes)
    show(inspection_table(file, result))


def thin(
    fine: Annotated[Path, typer.Argument(help="Trajectory file to read.")],
    coarse: Annotated[Path, typer.Argument(help="Trajectory file to write.")],
    stride: Annotated[int, typer.Option(help="Keep every K-th frame.")],
    velocities: Annotated[
        Literal["auto", "stored", "central"],
        typer.Option(help="The file's own, or central differences of its frames; auto prefers its own."),
    ] = "auto",
    start: Annotated[int, typer.Option(help="First frame that may be kept.")] = 0,
    stop: Annotated[int | None, typer.Option(help="Frame before which to end.")] = None,
    timestep: Timestep = None,
    topology: Topology = None,
    length_unit: Lengths = None,
    velocity_unit: Velocities = None,
    drop_cell: DropCell = False,
    wrap: Wrap = False,
    overwrite: Overwrite = False,
) -> None:
    """Keep every K-th frame of a trajectory file."""
    from neuralmd.data.formats import open_reader
    from neuralmd.data.inspection import check_units
    from neuralmd.data.thinning import Thinning
    from neuralmd.data.thinning import thin as run

    how = declared(topology, length_unit, velocity_unit, drop_cell)
    frames = run(fine, coarse, Thinning(stride, velocities, start, stop, timestep, how, wrap), overwrite=overwrite)
    with open_reader(fine, timestep=timestep, declared=how) as reader:
        tell([*reader.notes, *check_units(reader), *losses(coarse)])
    typer.echo(f"{coarse}: {frames} frames, every {stride}-th of {fine}")
