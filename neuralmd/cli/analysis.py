"""Commands that analyse trajectories: spectra, bonds and distances of files, or of what runs rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuralmd.cli.declarations import Said, of_data, tell
from neuralmd.cli.options import (
    DropCell,
    Json,
    LengthsOfEach,
    Overwrite,
    ResultsFolder,
    Timesteps,
    Topologies,
    VelocitiesOfEach,
    WithRun,
)

if TYPE_CHECKING:
    from neuralmd.report.analysis import Analysis
    from neuralmd.report.sources import Rebuilders


def mismatch(
    files: Annotated[
        list[Path], typer.Argument(help="Coarse trajectory files, and a fine one beside them to compare with.")
    ],
    run: WithRun,
    gap: Annotated[
        float | None,
        typer.Option(help="Longest time from anchor to anchor [fs]; by default that of the files' frames."),
    ] = None,
    engine: Annotated[
        Literal["gfn2-xtb", "gfn1-xtb"] | None, typer.Option(help="Compute energies of rebuilt frames with it.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw it into this file (.png).")] = None,
    json: Json = None,
    timestep: Timesteps = None,
    topology: Topologies = None,
    length_unit: LengthsOfEach = None,
    velocity_unit: VelocitiesOfEach = None,
    drop_cell: DropCell = False,
) -> None:
    """Tell how far the dynamics that made coarse files is from the one that a run has learned."""
    from neuralmd.cli.tables import show
    from neuralmd.progress import progress
    from neuralmd.report.mismatch import examine, plot, table, write
    from neuralmd.report.sources import remarks
    from neuralmd.runs import load_run

    said = Said(timestep, topology, length_unit, velocity_unit, drop_cell).of_each(files)
    trained = load_run(run)
    tell(remarks(files, said))
    found = []
    with progress("mismatch", len(files), unit="files") as advance:
        for file, told in zip(files, said, strict=True):
            found.append(examine(file, trained, gap, engine, told))
            advance(len(found))
    show(table(found).rich())
    if json is not None:
        write(found, json)
    if figure is not None:
        plot(found, figure)


def spectrum(
    entries: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... | RUN[:METHOD]...",
            help="Trajectory files, the first is the reference; or runs, whose models rebuild their test part.",
        ),
    ],
    labels: Annotated[str | None, typer.Option(help="A name for each file or run, as truth,rebuilt.")] = None,
    stride: Annotated[int | None, typer.Option(help="Runs: frames from anchor to anchor; the first run's.")] = None,
    splines: Annotated[str, typer.Option(help="Runs: splines beside them.")] = "cubic_spline,cubic_hermite",
    data: Annotated[
        Path | None, typer.Option(help="Runs: a fine trajectory to rebuild; by default the test part of their own.")
    ] = None,
    gap: Annotated[float | None, typer.Option(help="Files: mark the seam line of anchors so far apart [fs].")] = None,
    resolution: Annotated[float, typer.Option(help="Spacing of wavenumbers [cm^-1].")] = 10.0,
    segments: Annotated[str | None, typer.Option(help="Files: which segments, as 0,1,2; by default all.")] = None,
    output: ResultsFolder = Path(),
    json: Json = None,
    timestep: Timesteps = None,
    topology: Topologies = None,
    length_unit: LengthsOfEach = None,
    velocity_unit: VelocitiesOfEach = None,
    drop_cell: DropCell = False,
    overwrite: Overwrite = False,
) -> None:
    """Show the vibrational spectra, bonds and distances of trajectory files, or of what runs rebuild."""
    from neuralmd.cli.tables import show
    from neuralmd.report.analysis import Analysis
    from neuralmd.report.analysis_files import refuse_existing, write
    from neuralmd.report.analysis_tables import tables
    from neuralmd.report.sources import Rebuilders, load_trajectories, remarks

    refuse_existing(output, json, overwrite=overwrite)
    names = None if labels is None else labels.split(",")
    said = Said(timestep, topology, length_unit, velocity_unit, drop_cell)
    if _are_runs(entries):
        beside = [word for word in splines.split(",") if word]
        how = of_data(data, said.of_each([data or Path()])[0])
        analysis = _rebuild(Rebuilders.of(entries, stride, data, beside, names, how), resolution)
    else:
        chosen = None if segments is None else _indices(segments)
        paths = [Path(entry) for entry in entries]
        each = said.of_each(paths)
        files = load_trajectories(paths, names, each, chosen)
        tell(remarks(paths, each))
        analysis = Analysis.of(files, resolution, gap)
    written = write(analysis, output, json)
    for table in tables(analysis):
        show(table.rich())
    typer.echo("written: " + " ".join(str(path) for path in written))


def _are_runs(entries: list[str]) -> bool:
    """Whether runs are meant, and not files."""
    from neuralmd.errors import ConfigError
    from neuralmd.report.sources import is_run

    files = [entry for entry in entries if not is_run(entry)]
    if files and len(files) < len(entries):
        raise ConfigError(f"{files[0]}: is no run; give runs, or files, not both: runs rebuild a file with --data FILE")
    return not files


def _rebuild(rebuilders: Rebuilders, resolution: float) -> Analysis:
    from neuralmd.progress import progress
    from neuralmd.report.analysis import Analysis

    work = len(rebuilders.methods) * len(rebuilders.windows.starts)
    with progress("rebuild", work, unit="windows") as advance:
        return Analysis.of_methods(rebuilders.methods, rebuilders.windows, resolution, rebuilders.families, advance)


def _indices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"segments are numbers with commas between them, as 0,1,2, not {text!r}") from error
