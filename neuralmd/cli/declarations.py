"""What the options on a trajectory file declare, and what a command has to tell about one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from neuralmd.data.declared import AS_IT_IS, Declared, LengthUnit, VelocityUnit
from neuralmd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


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


Meaning = TypeVar("Meaning")


@dataclass(frozen=True)
class Said:
    """What the options on several files say, as typed: one word for all files, or one for each with commas between.

    Attributes:
        timestep: Times from frame to frame [fs].
        topology: Files with the atoms.
        length_unit: Units of lengths.
        velocity_unit: Units of velocities.
        drop_cell: Whether the cells are forgotten, of all files that have one.
    """

    timestep: str | None = None
    topology: str | None = None
    length_unit: str | None = None
    velocity_unit: str | None = None
    drop_cell: bool = False

    def of_each(self, files: Sequence[Path]) -> list[Declared]:
        """What there is to say of each file: a single time step is for those that state none.

        Raises:
            BadParameter: If a word is no time step or unit, or there is not one for each file.
            DataError: If a file cannot be read.
        """
        from neuralmd.data.formats import states_timestep

        count, lengths, velocities = len(files), ", ".join(LengthUnit), ", ".join(VelocityUnit)
        topologies = [self.topology] if self.topology and Path(self.topology).is_file() else _split(self.topology)
        steps = _one_each("--timestep", _split(self.timestep), count, float, "a number, or several as 0.5,,10")
        each = zip(
            files,
            steps,
            _one_each("--topology", topologies, count, Path, "a file, or several as water.pdb,,box.gro"),
            _one_each("--length-unit", _split(self.length_unit), count, LengthUnit, f"one of {lengths}, or several"),
            _one_each(
                "--velocity-unit", _split(self.velocity_unit), count, VelocityUnit, f"one of {velocities}, or several"
            ),
            strict=True,
        )
        said = []
        for file, step, topology, length, velocity in each:
            told = Declared(None, topology, length, velocity, self.drop_cell)
            shared = count > 1 and "," not in (self.timestep or ",")
            said.append(told if shared and states_timestep(file, told) else replace(told, timestep=step))
        return said


def _split(text: str | None) -> list[str]:
    return [] if text is None else [word.strip() for word in text.split(",")]


def _one_each(
    option: str, words: Sequence[str], count: int, meaning: Callable[[str], Meaning], form: str
) -> list[Meaning | None]:
    """What the words of an option mean for each of so many files; none for a file about which nothing is said."""
    if len(words) > 1 and len(words) != count:
        files = "file" if count == 1 else "files"
        raise typer.BadParameter(f"{option} has {len(words)} parts for {count} {files}: {','.join(words)}")
    try:
        meant = [meaning(word) if word else None for word in words or [""]]
    except ValueError as error:
        raise typer.BadParameter(f"{option} is {form}, not {','.join(words)!r}") from error
    return meant if len(meant) == count else meant * count


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
