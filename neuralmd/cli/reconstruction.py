"""Commands that rebuild a coarse file: with the model of a run, or all the way from a fine file."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from neuralmd.cli.declarations import Said, declared, losses, tell
from neuralmd.cli.options import (
    Batch,
    Device,
    DropCell,
    Fall,
    Lengths,
    LengthsOfEach,
    MaxError,
    Overwrite,
    Precision,
    Timestep,
    Topologies,
    Topology,
    Velocities,
    VelocitiesOfEach,
    WithRun,
    Wrap,
)


def reconstruct(
    coarse: Annotated[Path, typer.Argument(help="Coarse trajectory file.")],
    output: Annotated[Path, typer.Argument(help="Fine trajectory file to write.")],
    run: WithRun,
    stride: Annotated[int, typer.Option(help="Frames from anchor to anchor in the output: K - 1 are rebuilt.")],
    method: Annotated[
        str | None,
        typer.Option(help="A direction of the model, as neural_ode_forward, or a spline; by default the model itself."),
    ] = None,
    max_error: MaxError = None,
    fallback: Fall = "none",
    timestep: Timestep = None,
    topology: Topology = None,
    length_unit: Lengths = None,
    velocity_unit: Velocities = None,
    drop_cell: DropCell = False,
    wrap: Wrap = False,
    batch: Batch = None,
    device: Device = "auto",
    precision: Precision = "single",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a reconstruction that was stopped.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Fill the gaps of a coarse trajectory with the model of a run; under torchrun, several processes share them."""
    from neuralmd.progress import progress
    from neuralmd.reconstruction import Fallback, Plan, Wishes
    from neuralmd.reconstruction import reconstruct as fill
    from neuralmd.runs import load_run
    from neuralmd.workers import connected

    said = declared(topology, length_unit, velocity_unit, drop_cell)
    wishes = Wishes(stride, method, timestep, said, wrap, max_error, Fallback(fallback))
    with connected() as workers:
        plan = workers.each(lambda: Plan.of(load_run(run, device, precision), coarse, wishes))
        plan.how.method.at_once = batch
        workers.first(lambda: tell([*plan.notes(output), *losses(output)]))
        quiet = nullcontext(None)
        with progress("reconstruct", plan.gaps.count, unit="gaps") if workers.leads else quiet as advance:
            done = fill(coarse, output, plan.how, resume=resume, overwrite=overwrite, advance=advance, workers=workers)
    if workers.leads:
        rebuilt = f"{stride - 1} rebuilt in each of {plan.gaps.count} gaps of {coarse}"
        typer.echo("\n".join([f"{output}: {done.frames} frames, {rebuilt}", *done.told(plan.how)]))


def fit_and_reconstruct(
    fine: Annotated[Path, typer.Argument(help="Short trajectory file in which every frame is stored.")],
    coarse: Annotated[Path, typer.Argument(help="Long trajectory file to rebuild.")],
    output: Annotated[Path, typer.Argument(help="Fine trajectory file to write; the run goes into runs/ beside it.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings of the model and the training.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.0, help="Budget of the training [min].")] = 15.0,
    max_error: MaxError = None,
    fallback: Fall = "none",
    fine_timestep: Annotated[
        float | None, typer.Option(help="Time from frame to frame of the fine file [fs], where it states none.")
    ] = None,
    coarse_timestep: Annotated[
        float | None, typer.Option(help="Time from frame to frame of the coarse file [fs], where it states none.")
    ] = None,
    topology: Topologies = None,
    length_unit: LengthsOfEach = None,
    velocity_unit: VelocitiesOfEach = None,
    drop_cell: DropCell = False,
    wrap: Wrap = False,
    overwrite: Overwrite = False,
) -> None:
    """Learn from a short fine file, test on its hidden frames, rebuild a long coarse one; goes on where it stopped."""
    from neuralmd.cli.application import carry_out
    from neuralmd.data.matching import match
    from neuralmd.fitting import FitAndReconstruct

    said = Said(None, topology, length_unit, velocity_unit, drop_cell).of_each([fine, coarse])
    of_fine, of_coarse = replace(said[0], timestep=fine_timestep), replace(said[1], timestep=coarse_timestep)
    found = match(fine, coarse, of_fine, of_coarse)
    limits = [] if max_error is None else ["--max-error", f"{max_error:g}", "--fallback", fallback]
    more = [*limits, *(["--wrap"] if wrap else [])]
    way = FitAndReconstruct(
        fine, coarse, output, found, minutes, overrides or (), more, of_fine, of_coarse, overwrite=overwrite
    )
    way.check()
    tell(found.notes)
    typer.echo(
        f"{found.frames[0]} fine frames {found.timestep:g} fs apart, {found.frames[1]} coarse ones {found.gap:g} fs"
    )
    typer.echo(f"apart: stride {found.stride}, {found.stride - 1} frames to rebuild in each gap")
    for words in way.commands():
        typer.echo(f"$ neuralmd {shlex.join(words)}")
        try:
            carry_out(words)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped; the same command goes on from here") from None
    typer.echo("\n".join(way.report()))
