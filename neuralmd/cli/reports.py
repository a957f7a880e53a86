"""Commands that show what came of runs: a report, and learning curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralmd.cli.declarations import Said, of_data
from neuralmd.cli.options import (
    Device,
    DropCell,
    FineData,
    LengthsOfEach,
    Overwrite,
    RunFolder,
    Timesteps,
    Topologies,
    VelocitiesOfEach,
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
    timestep: Timesteps = None,
    topology: Topologies = None,
    length_unit: LengthsOfEach = None,
    velocity_unit: VelocitiesOfEach = None,
    drop_cell: DropCell = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Write a page that tells all about a run: errors, figures, spectrum, and the rebuilt trajectory in 3-D."""
    from neuralmd.data.declared import AS_IT_IS
    from neuralmd.data.files import AtomicFile
    from neuralmd.errors import ConfigError
    from neuralmd.progress import progress
    from neuralmd.report.html.job import ReportJob
    from neuralmd.report.html.stretches import RebuiltFile

    AtomicFile(output, overwrite=overwrite)  # finds a bad output before the work, not after it
    if truth is not None and trajectory is None:
        raise ConfigError("--truth is the truth of a rebuilt file: name that file with --trajectory")
    named = [file for file in (trajectory, truth, data) if file is not None]
    said = Said(timestep, topology, length_unit, velocity_unit, drop_cell).of_each(named or [Path()])
    of_data(next(iter(named), None), said[0])
    told = dict(zip(named, said, strict=False))
    of_file, of_truth, of_fine = (AS_IT_IS if file is None else told[file] for file in (trajectory, truth, data))
    rebuilt = None if trajectory is None else RebuiltFile(trajectory, truth, stride, of_file, of_truth)
    job = ReportJob.of(run, rebuilt, frames, data, stride, device, of_fine)
    with progress("evaluate and rebuild", job.work, unit="windows") as advance:
        page = job.carry_out(output, advance)
    size = page.write(output, overwrite=overwrite)
    typer.echo(f"{output}: {job.scene.frames} frames in 3-D, {size / 1e6:.1f} MB; open it in a browser")


def curves(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trainings, which need not have ended.")],
    metrics: Annotated[
        str, typer.Option(help="What to show of metrics.jsonl, as validation/mae_A,train/loss.")
    ] = "validation/mae_A",
    labels: Annotated[str | None, typer.Option(help="A name for each run, as small,large.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the curves into this file (.png).")] = None,
) -> None:
    """Show the learning curves of trainings: what they measured, over the time that it took."""
    from neuralmd.cli.tables import show
    from neuralmd.report.curves import curves as read
    from neuralmd.report.curves import plot, table

    found = read(runs, metrics.split(","), None if labels is None else labels.split(","))
    show(table(found).rich())
    if figure is not None:
        plot(found, figure)
        typer.echo(f"figure: {figure}")
