"""What commands print, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from neuralmd.data.inspection import Inspection
    from neuralmd.data.trajectory import Segment

_SEGMENTS_SHOWN = 12
_WIDTH_OF_A_FILE = 120


def show(output: RenderableType) -> None:
    """Print a table to stdout: as wide as the terminal, or wide enough for all of its columns in a file."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=_WIDTH_OF_A_FILE)
    console.print(output)


def inspection_table(file: Path, found: Inspection) -> Group:
    """What a trajectory file holds, and below it what is suspicious."""
    table = Table(title=str(file), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    source = f"yes, {found.velocity_source}" if found.velocity_source is not None else "none"
    table.add_row("atoms", f"{found.atoms} ({found.formula})")
    table.add_row("frames", f"{found.frames}")
    table.add_row("time step", f"{_timesteps(found.segments)} fs")
    table.add_row("duration", f"{found.duration:.6g} fs")
    table.add_row("temperature", _temperature(found))
    table.add_row("fields", ", ".join(["positions", *sorted(found.fields)]))
    table.add_row("velocities", source)
    table.add_row("segments", _segments(found.segments))
    table.add_row("highest frequency", f"{found.highest_wavenumber:.0f} cm^-1 (1 / 2 dt)")
    if not found.suspicions:
        return Group(table, Text("Nothing is suspicious.", style="green"))
    return Group(table, *[Text(f"suspicious: {sentence}", style="yellow") for sentence in found.suspicions])


def configs_table() -> Table:
    """The configurations that come with neuralmd, and what each is for."""
    from neuralmd.config.shipped import shipped, summary_of

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name in shipped():
        table.add_row(name, Text(summary_of(name)))
    return table


def datasets_table() -> Group:
    """What can be downloaded."""
    from neuralmd.data.download import CITATION, DATASETS, TIMESTEP

    table = Table(box=None, pad_edge=False)
    table.add_column("data set", style="bold", no_wrap=True)
    table.add_column("frames", justify="right")
    table.add_column("file")
    for dataset in DATASETS:
        table.add_row(dataset.name, f"{dataset.frames}", dataset.file)
    return Group(table, Text(f"\nAll are {TIMESTEP} fs from frame to frame. Please cite {CITATION}."))


def _timesteps(segments: Sequence[Segment]) -> str:
    return " / ".join(dict.fromkeys(f"{segment.timestep:.6g}" for segment in segments))


def _temperature(found: Inspection) -> str:
    if found.temperature is None:
        return "unknown"
    return f"{found.temperature:.1f} +- {found.temperature_spread or 0.0:.1f} K, from {found.temperature_from}"


def _segments(segments: Sequence[Segment]) -> str:
    shown = ", ".join(f"{segment.length}" for segment in segments[:_SEGMENTS_SHOWN])
    more = f", and {len(segments) - _SEGMENTS_SHOWN} more" if len(segments) > _SEGMENTS_SHOWN else ""
    return f"{len(segments)} of {shown}{more} frames"
