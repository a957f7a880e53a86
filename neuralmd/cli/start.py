"""Commands to start with: the demonstration, and the configurations that come with neuralmd."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from neuralmd.cli.options import Overwrite


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for its configs/, data/ and runs/.")] = Path(),
    minutes: Annotated[float, typer.Option(min=0.0, help="Budget of the training [min].")] = 5.0,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the simulation to record.")] = 14_000,
) -> None:
    """Simulate benzene, learn its dynamics, and rebuild 19 of every 20 frames; goes on where it was stopped."""
    from neuralmd.cli.application import carry_out
    from neuralmd.demo import Demo

    demonstration = Demo(folder, minutes, steps)
    demonstration.check()
    for words in demonstration.commands():
        typer.echo(f"$ neuralmd {shlex.join(words)}")
        try:
            carry_out(words)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped; the same command goes on from here") from None


def configs(
    name: Annotated[str | None, typer.Argument(help="Which one to print; none to list them all.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write it into this file.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """List the configurations that come with neuralmd, print one, or copy it into a file to be changed."""
    from neuralmd.cli.tables import configs_table, show
    from neuralmd.config.shipped import copy, text_of

    if name is None and output is not None:
        raise typer.BadParameter("a NAME is needed to write a configuration; `neuralmd configs` lists them")
    if name is None:
        show(configs_table())
    elif output is None:
        typer.echo(text_of(name), nl=False)
    else:
        copy(name, output, overwrite=overwrite)
        typer.echo(f"{output}: the configuration {name}")
