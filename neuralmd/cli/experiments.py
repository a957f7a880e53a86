"""Commands on experiments: train one, evaluate it, rebuild a coarse file with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuralmd.cli.declarations import DropCell, Lengths, Topology, Velocities, Wrap, declared, losses, tell
from neuralmd.cli.trajectories import Overwrite, Timestep

if TYPE_CHECKING:
    from neuralmd.interpolators.base import Interpolator

Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute; auto is a GPU where one is.")]
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")] = False,
) -> None:
    """Train a model into runs/NAME."""
    from neuralmd.build.dataset import notes
    from neuralmd.config import load
    from neuralmd.config.selection import select
    from neuralmd.progress import progress
    from neuralmd.runs import train as run
    from neuralmd.sweeps.agents import as_trial, recorded

    words = [config, *(overrides or ())]
    experiment = as_trial(load(*select(words)))
    tell(notes(experiment.data))
    bar = progress(f"train {experiment.run.name}", _THOUSANDTHS, unit="per mille of the budget")
    with recorded(experiment, words), bar as advance:
        reached = run(experiment, resume=resume, overwrite=overwrite, advance=advance)
    spent = f"{reached.step} steps in {reached.seconds / 60:.1f} min" if reached.step else "no weights to train"
    typer.echo(
        f"{experiment.run.folder}: {spent}, validation MAE {reached.best:.3e} A at stride {experiment.data.stride}"
    )


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run, as runs/benzene.")],
    data: Annotated[
        Path | None, typer.Option(help="A fine trajectory to evaluate on; by default the test part of the run's own.")
    ] = None,
    stride: Annotated[int | None, typer.Option(help="Frames from anchor to anchor; by default the run's.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the results here.")] = None,
    anchor_velocities: Annotated[
        Literal["given", "inferred"],
        typer.Option(help="The data's velocities at the anchors, or those that the anchors' positions alone tell."),
    ] = "given",
    device: Device = "auto",
) -> None:
    """Compare a run with the splines on hidden frames: a table, and figures in the run's folder."""
    from neuralmd.cli.tables import show
    from neuralmd.progress import progress
    from neuralmd.report.evaluation import Assessment
    from neuralmd.report.evaluation_media import publish
    from neuralmd.report.tables import evaluation_table

    assessment = Assessment.of(run, data, stride, device)
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


def reconstruct(
    coarse: Annotated[Path, typer.Argument(help="Coarse trajectory file.")],
    output: Annotated[Path, typer.Argument(help="Fine trajectory file to write.")],
    run: Annotated[Path, typer.Option(help="Folder of a run, as runs/benzene.")],
    stride: Annotated[int, typer.Option(help="Frames from anchor to anchor in the output: K - 1 are rebuilt.")],
    method: Annotated[
        str | None,
        typer.Option(help="A direction of the model, as neural_ode_forward, or a spline; by default the model itself."),
    ] = None,
    timestep: Timestep = None,
    topology: Topology = None,
    length_unit: Lengths = None,
    velocity_unit: Velocities = None,
    drop_cell: DropCell = False,
    wrap: Wrap = False,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a reconstruction that was stopped.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fill the gaps of a coarse trajectory with the model of a run."""
    from neuralmd.evaluation.inferred import dynamics_if_any
    from neuralmd.evaluation.methods import directions, named, splines
    from neuralmd.interpolators.coarse import about_velocities
    from neuralmd.progress import progress
    from neuralmd.reconstruct import Reconstruction, gaps_of
    from neuralmd.reconstruct import reconstruct as fill
    from neuralmd.runs import load_run

    trained = load_run(run, device)
    known = {**splines(), **directions(trained.model)}
    method = method or list(known)[-1]
    interpolator = named(method, known)
    provenance = {"method": method, "run": run.name, "trained_timestep_fs": f"{trained.timestep:g}"}
    said = declared(topology, length_unit, velocity_unit, drop_cell)
    dynamics = dynamics_if_any(trained.model, trained.system)
    how = Reconstruction(interpolator, stride, trained.system, provenance, timestep, said, wrap, dynamics)
    gaps = gaps_of(coarse, timestep, said)
    _note(interpolator, gaps.lengths)
    tell([*gaps.notes, *losses(output)])
    if dynamics is not None and interpolator.needs_velocities:
        tell(about_velocities(coarse, dynamics, timestep, said))
    with progress("reconstruct", gaps.count, unit="gaps") as advance:
        frames = fill(coarse, output, how, resume=resume, overwrite=overwrite, advance=advance)
    typer.echo(f"{output}: {frames} frames, {stride - 1} rebuilt in each of {gaps.count} gaps of {coarse}")


def _note(method: Interpolator, gaps: Sequence[float]) -> None:
    """Tell what a user should know before gaps of these lengths [fs] are filled."""
    for gap in gaps:
        if remark := method.remark(gap):
            typer.echo(f"note: {remark}", err=True)
