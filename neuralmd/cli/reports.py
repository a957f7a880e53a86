"""The command that makes a report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralmd.cli.declarations import declared, of_data
from neuralmd.cli.options import (
    Device,
    DropCell,
    FineData,
    Lengths,
    Overwrite,
    RunFolder,
    Timestep,
    Topology,
    Velocities,
)


def report(
    run: RunFolder,
    trajectory: Annotated[
        Path | None,
        typer.Option(help="A rebuilt file to show in 3-D; by default what the run rebuilds of its own test part."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="The fine file that the rebuilt one was thinned from, to colour it by its error."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="Most frames to show in 3-D; by default 401, or fewer of a large system.")
    ] = None,
    data: FineData = None,
    stride: Annotated[
        int | None, typer.Option(help="Frames from anchor to anchor; by default the rebuilt file's, or the run's.")
    ] = None,
    output: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    timestep: Timestep = None,
    topology: Topology = None,
    length_unit: Lengths = None,
    velocity_unit: Velocities = None,
    drop_cell: DropCell = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Write a page that tells all about a run: errors, figures, spectrum, and the rebuilt trajectory in 3-D."""
    from neuralmd.data.files import AtomicFile
    from neuralmd.errors import ConfigError
    from neuralmd.progress import progress
    from neuralmd.report.html.job import ReportJob
    from neuralmd.report.html.stretches import RebuiltFile

    AtomicFile(output, overwrite=overwrite)  # finds a bad output before the work, not after it
    if truth is not None and trajectory is None:
        raise ConfigError("--truth is the truth of a rebuilt file: name that file with --trajectory")
    said = declared(topology, length_unit, velocity_unit, drop_cell, timestep)
    rebuilt = None if trajectory is None else RebuiltFile(trajectory, truth, stride, said)
    if rebuilt is None:
        of_data(data, said)
    job = ReportJob.of(run, rebuilt, frames, data, stride, device, said)
    with progress("evaluate and rebuild", job.work, unit="windows") as advance:
        page = job.carry_out(output, advance)
    size = page.write(output, overwrite=overwrite)
    typer.echo(f"{output}: {job.scene.frames} frames in 3-D, {size / 1e6:.1f} MB; open it in a browser")
