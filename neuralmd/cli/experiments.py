"""Commands on experiments: train one, evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuralmd.cli.declarations import declared, of_data, tell
from neuralmd.cli.options import (
    Batch,
    Device,
    DropCell,
    FineData,
    Json,
    Lengths,
    OverwriteRun,
    Precision,
    RunFolder,
    Timestep,
    Topology,
    Velocities,
)

if TYPE_CHECKING:
    from neuralmd.interpolators.base import Interpolator

_THOUSANDTHS = 1000


def train(
    config: Annotated[str, typer.Argument(help="Experiment, a YAML file; anywhere as config=FILE.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings in place of the file's: training.max_minutes=5; NAME.KEY=VALUE counts for NAME.yaml only.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    overwrite: OverwriteRun = False,
) -> None:
    """Train a model into runs/NAME; under torchrun or fabric run, in several processes that share each batch."""
    from neuralmd.build.dataset import device, notes
    from neuralmd.config import load
    from neuralmd.config.selection import select
    from neuralmd.progress import progress
    from neuralmd.runs import train as run
    from neuralmd.sweeps.agents import as_trial, recorded
    from neuralmd.training.processes import Processes, told_once

    words = [config, *(overrides or ())]
    with told_once():
        experiment = as_trial(load(*select(words)))
        processes = Processes.started(device(experiment.device))
    with processes.together():
        tell(notes(experiment.data) if processes.is_first else ())
    if not processes.is_first:
        run(experiment, resume=resume, overwrite=overwrite, processes=processes)
        return
    bar = progress(f"train {experiment.run.name}", _THOUSANDTHS, unit="per mille of the budget")
    with recorded(experiment, words), bar as advance:
        reached = run(experiment, resume=resume, overwrite=overwrite, advance=advance, processes=processes)
    spent = f"{reached.step} steps in {reached.seconds / 60:.1f} min" if reached.step else "no weights to train"
    typer.echo(
        f"{experiment.run.folder}: {spent}, validation MAE {reached.error:.3e} A at stride {experiment.data.stride}"
    )


def evaluate(
    run: RunFolder,
    data: FineData = None,
    stride: Annotated[int | None, typer.Option(help="Frames from anchor to anchor; by default the run's.")] = None,
    json: Json = None,
    anchor_velocities: Annotated[
        Literal["given", "inferred"],
        typer.Option(help="The data's velocities at the anchors, or those that the anchors' positions alone tell."),
    ] = "given",
    timestep: Timestep = None,
    topology: Topology = None,
    length_unit: Lengths = None,
    velocity_unit: Velocities = None,
    drop_cell: DropCell = False,
    batch: Batch = None,
    device: Device = "auto",
    precision: Precision = "single",
) -> None:
    """Compare a run with the splines on hidden frames: a table, and figures in the run's folder."""
    from neuralmd.cli.tables import show
    from neuralmd.progress import progress
    from neuralmd.report.evaluation import Assessment
    from neuralmd.report.evaluation_media import publish
    from neuralmd.report.tables import evaluation_table
    from neuralmd.runs import load_run

    said = of_data(data, declared(topology, length_unit, velocity_unit, drop_cell, timestep))
    assessment = Assessment.of(load_run(run, device, precision), data, stride, declared=said)
    for method in assessment.methods.values():
        method.at_once = batch
    if anchor_velocities == "inferred":
        with progress("infer velocities", assessment.anchors, unit="anchors") as advance:
            assessment = assessment.inferring(advance)
    with progress("evaluate", assessment.work, unit="windows") as advance:
        result = assessment.run(advance)
    for method in assessment.methods.values():
        _note(method, (result.gap,))
    tell(result.notes)
    figures = assessment.write(result, json)
    publish(assessment.folder, result, figures)
    show(evaluation_table(result))
    typer.echo("figures: " + " ".join(str(figure) for figure in figures))


def _note(method: Interpolator, gaps: Sequence[float]) -> None:
    """Tell what a user should know before gaps of these lengths [fs] are filled."""
    for gap in gaps:
        if remark := method.remark(gap):
            typer.echo(f"note: {remark}", err=True)
