"""The options and arguments that several commands share, each with one name and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuralmd.data.declared import LengthUnit, VelocityUnit

# What a user says about a trajectory file, where the file does not say it itself.
Timestep = Annotated[
    float | None, typer.Option("--timestep", help="Time from frame to frame [fs], for files that state none.")
]
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

# The same, said of each of several files.
Timesteps = Annotated[
    str | None,
    typer.Option(
        "--timestep",
        help="Time from frame to frame [fs], for files that state none; one for each file with commas between, as "
        "0.5,,10, or one for all of them.",
    ),
]
Topologies = Annotated[
    str | None,
    typer.Option(
        "--topology",
        metavar="FILE",
        help="File with the atoms (PDB, GRO, PSF, PRMTOP, ...), for XTC, TRR, DCD, NetCDF; one for all, or one for "
        "each file with commas between, as water.pdb,,box.gro.",
    ),
]
LengthsOfEach = Annotated[
    str | None,
    typer.Option(
        "--length-unit",
        metavar="UNIT",
        help=f"Unit of the files' lengths, where a format is wrong: {', '.join(LengthUnit)}; one for all, or one for "
        "each file with commas between, as nm,,A.",
    ),
]
VelocitiesOfEach = Annotated[
    str | None,
    typer.Option(
        "--velocity-unit",
        metavar="UNIT",
        help=f"Unit of the files' velocities, where a format is wrong or states none: {', '.join(VelocityUnit)}; one "
        "for all, or one for each file with commas between, as nm/ps,,atomic.",
    ),
]

# Runs, and what they work on.
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, as runs/benzene.")]
WithRun = Annotated[Path, typer.Option("--run", help="Folder of a run, as runs/benzene.")]
FineData = Annotated[
    Path | None,
    typer.Option("--data", help="A fine trajectory to evaluate on; by default the test part of the run's own."),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute; auto is a GPU where one is.")]
Precision = Annotated[
    Literal["single", "double"],
    typer.Option(help="Of all that the model computes; it learned in single."),
]
Batch = Annotated[
    int | None,
    typer.Option("--batch", min=1, help="Gaps computed at once; by default what is fast and fits into the memory."),
]
MaxError = Annotated[
    float | None,
    typer.Option(
        "--max-error", help="Largest error bar of a frame [A]; gaps with a larger one are marked, or see --fallback."
    ),
]
Fall = Annotated[
    Literal["none", "spline"],
    typer.Option("--fallback", help="What fills gaps with a larger error bar than --max-error: the model or a spline."),
]

# What is written, and where.
Json = Annotated[Path | None, typer.Option("--json", help="Also write the results here.")]
ResultsFolder = Annotated[Path, typer.Option("--output", help="Folder for tables and figures.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
OverwriteRun = Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")]
Wrap = Annotated[bool, typer.Option("--wrap", help="Put the output's positions back into the periodic cell.")]
