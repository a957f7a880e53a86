"""Commands that analyse trajectories: the spectrum of one or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralmd.cli.trajectories import Overwrite, Timestep


def spectrum(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Trajectory files; the first is the reference.")
    ],
    labels: Annotated[str | None, typer.Option(help="A name for each file, as truth,rebuilt.")] = None,
    gap: Annotated[float | None, typer.Option(help="Mark the seam line of anchors so far apart [fs].")] = None,
    resolution: Annotated[float, typer.Option(help="Spacing of wavenumbers [cm^-1].")] = 10.0,
    segments: Annotated[str | None, typer.Option(help="Which segments of each file, as 0,1,2; by default all.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path(),
    json: Annotated[Path | None, typer.Option(help="Also write the results here.")] = None,
    timestep: Timestep = None,
    overwrite: Overwrite = False,
) -> None:
    """Show the vibrational spectra of trajectory files: a table, and figures of spectra and bond lengths."""
    from neuralmd.cli.tables import show
    from neuralmd.report.analysis import Analysis, load_trajectories, refuse_existing

    refuse_existing(output, json, overwrite=overwrite)
    names = None if labels is None else labels.split(",")
    chosen = None if segments is None else _indices(segments)
    analysis = Analysis.of(load_trajectories(files, names, timestep, chosen), resolution, gap)
    figures = analysis.draw(output)
    if json is not None:
        analysis.write(json)
    show(analysis.table())
    typer.echo("figures: " + " ".join(str(figure) for figure in figures))


def _indices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"segments are numbers with commas between them, as 0,1,2, not {text!r}") from error
