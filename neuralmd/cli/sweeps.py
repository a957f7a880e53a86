"""Commands on sweeps: run one, report on one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def sweep(
    file: Annotated[Path, typer.Argument(help="Sweep file of wandb, as sweeps/node-against-lstm.yaml.")],
    engine: Annotated[
        Literal["auto", "wandb", "optuna"],
        typer.Option(help="wandb's server, or Optuna without one; auto is wandb where a login is."),
    ] = "auto",
    trials: Annotated[int | None, typer.Option(min=1, help="Trials; by default run_cap, or the whole grid.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.0, help="No new trial begins after this time [min].")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a sweep, or join it.")] = False,
    storage: Annotated[
        str | None,
        typer.Option(help="Optuna's database, as postgresql+psycopg://HOST/NAME; by default a file in the folder."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the sweep; by default runs/NAME.")] = None,
    heartbeat: Annotated[
        int, typer.Option(min=1, help="Seconds between a worker's signs of life; after three without one it is dead.")
    ] = 20,
) -> None:
    """Train with settings that a sweep file draws, each trial a run of its own."""
    from neuralmd.sweeps import engine_wandb
    from neuralmd.sweeps.legality import check, require_data
    from neuralmd.sweeps.space import load

    chosen = engine_wandb.chosen(engine)
    space = load(file)
    check(space)
    require_data(space)
    folder = Path("runs") / space.name if output is None else output
    if chosen == "wandb":
        if storage is not None:
            raise typer.BadParameter("--storage is for --engine optuna")
        agents = engine_wandb.Agents(folder, workers, trials, max_minutes, resume)
        path = engine_wandb.run(space, agents)
        typer.echo(f"{path}: done; agents join it by `wandb agent {path}`")
        return
    from neuralmd.progress import progress
    from neuralmd.sweeps.engine import Settings, number_of_trials, run
    from neuralmd.sweeps.results import summary

    settings = Settings(folder, storage, trials, workers, max_minutes, resume, heartbeat)
    count = number_of_trials(space, trials)
    with progress(f"sweep {space.name}", count, unit="trials") as advance:
        done = run(space, settings, advance)
    typer.echo(f"{folder}: {summary(space, done, count)}")


def sweep_report(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep, as runs/node-against-lstm.")],
) -> None:
    """Rank the trials of a sweep: tables, figures, and the best configuration as a file."""
    from neuralmd.cli.tables import show
    from neuralmd.sweeps.report import rich_table, write
    from neuralmd.sweeps.results import Results

    results = Results.of(folder)
    written = write(results, folder / "report")
    show(rich_table(results))
    typer.echo("written: " + " ".join(str(path) for path in written))
