"""The command that fits the correction of a trained run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralmd.cli.options import OverwriteRun


def fit_correction(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, as runs/benzene.")],
    overrides: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="run.name=NAME of the new run, and settings in place of the old run's: model.correction.kind=bridge",
        ),
    ],
    overwrite: OverwriteRun = False,
) -> None:
    """Fit correction and error bars of a trained run again, with other settings and the same field, into a new run."""
    from neuralmd.runs import refit

    experiment, reached = refit(run, overrides, overwrite=overwrite)
    typer.echo(
        f"{experiment.run.folder}: the field of {run}, validation MAE {reached.error:.3e} A at stride "
        f"{experiment.data.stride}"
    )
