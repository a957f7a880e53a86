"""What the options on a trajectory file declare, and what a command has to tell about one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from neuralmd.data.declared import AS_IT_IS, Declared, LengthUnit, VelocityUnit
from neuralmd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def declared(
    topology: Path | None,
    lengths: LengthUnit | None,
    velocities: VelocityUnit | None,
    drop_cell: bool,  # noqa: FBT001
    timestep: float | None = None,
) -> Declared:
    """What the options say."""
    return Declared(timestep, topology, lengths, velocities, drop_cell)


def of_data(data: Path | None, said: Declared) -> Declared:
    """What the options say of the file of --data.

    Raises:
        ConfigError: If they say something, and there is no such file.
    """
    if data is None and said != AS_IT_IS:
        raise ConfigError(
            "--timestep, --topology, --length-unit, --velocity-unit and --drop-cell tell how to read the file of "
            "--data, and none was given; how to read the file of a run stands in its config.yaml"
        )
    return said


def each_declared(files: Sequence[Path], timesteps: str | None, said: Declared) -> list[Declared]:
    """What there is to say of each of several files: a single time step is for those that state none.

    Raises:
        BadParameter: If the time steps are no numbers, or there is not one for each file.
        DataError: If a file cannot be read.
    """
    from neuralmd.data.formats import states_timestep

    words = [] if timesteps is None else timesteps.split(",")
    try:
        values = [float(word) if word.strip() else None for word in words]
    except ValueError as error:
        raise typer.BadParameter(f"--timestep is a number, or several as 0.5,,10, not {timesteps!r}") from error
    if len(values) > 1 and len(values) != len(files):
        raise typer.BadParameter(f"--timestep has {len(values)} parts for {len(files)} files: {timesteps}")
    if len(values) != 1 or len(files) == 1:
        return [replace(said, timestep=value) for value in values or [None] * len(files)]
    return [said if states_timestep(file, said) else replace(said, timestep=values[0]) for file in files]


def tell(notes: Iterable[str]) -> None:
    """Tell what a user should know, a line each, beside what a command prints."""
    for note in dict.fromkeys(notes):
        typer.echo(f"note: {note}", err=True)


def losses(output: Path) -> list[str]:
    """What an output of this format cannot hold."""
    from neuralmd.data.formats import holds

    if "velocities" in holds(output):
        return []
    return [f"a {output.suffix} file holds no velocities; .h5, .extxyz, .trr and .nc do"]
