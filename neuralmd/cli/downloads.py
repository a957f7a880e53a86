"""The command that fetches published trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralmd.data.download import HOME
from neuralmd.progress import Advance


def download(
    name: Annotated[str | None, typer.Argument(help="Data set, for instance md17-ethanol; none for a list.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Where to put the file.")] = Path("data"),
    home: Annotated[str, typer.Option("--home", help="Address of the folder that holds the files.")] = HOME,
) -> None:
    """Download a trajectory of MD17, or list them."""
    from neuralmd.cli.tables import datasets_table, show
    from neuralmd.data.download import CITATION, TIMESTEP, find
    from neuralmd.data.download import download as fetch
    from neuralmd.progress import tasks

    if name is None:
        show(datasets_table())
        return
    dataset = find(name)
    bars: dict[int, Advance] = {}
    with tasks(unit="kB") as new_task:

        def follow(done: int, total: int) -> None:
            if total not in bars:
                bars[total] = new_task(f"download {dataset.name}", total // 1000)
            bars[total](done // 1000)

        path = fetch(dataset, folder, home, follow)
    typer.echo(
        f"{path}: {dataset.frames} frames by its authors, {path.stat().st_size / 1e6:.0f} MB, "
        f"{TIMESTEP} fs apart (say --timestep {TIMESTEP}, or data.timestep={TIMESTEP})"
    )
    typer.echo(f"Please cite {CITATION}.")
