"""Options in which a user says about a trajectory file what the file does not say itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuralmd.data.declared import Declared, LengthUnit, VelocityUnit

if TYPE_CHECKING:
    from collections.abc import Iterable

Topology = Annotated[
    Path | None,
    typer.Option("--topology", help="File with the atoms (PDB, GRO, PSF, PRMTOP, ...), for XTC, TRR, DCD, NetCDF."),
]
Lengths = Annotated[
    LengthUnit | None, typer.Option("--length-unit", help="Unit of the file's lengths, where its format is wrong.")
]
Velocities = Annotated[
    VelocityUnit | None,
    typer.Option("--velocity-unit", help="Unit of the file's velocities, where its format is wrong or states none."),
]
DropCell = Annotated[
    bool, typer.Option("--drop-cell", help="Make the molecule whole and forget the periodic cell around it.")
]
Wrap = Annotated[bool, typer.Option("--wrap", help="Put the output's positions back into the periodic cell.")]


def declared(
    topology: Path | None,
    lengths: LengthUnit | None,
    velocities: VelocityUnit | None,
    drop_cell: bool,  # noqa: FBT001
) -> Declared:
    """What the options say."""
    return Declared(topology=topology, length_unit=lengths, velocity_unit=velocities, drop_cell=drop_cell)


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
