"""The gaps of a coarse file, counted before they are filled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.formats import open_reader
from neuralmd.data.simulation_settings import integrator_step
from neuralmd.data.unit_checks import check_units


@dataclass(frozen=True)
class Gaps:
    """The gaps of a coarse file.

    Attributes:
        count: How many.
        lengths: Their lengths, each once [fs].
        notes: What was assumed of the file, and what is suspicious about its units, a sentence each.
        integrator_step: The step of the integrator that made it [fs], where the file tells.
    """

    count: int
    lengths: tuple[float, ...]
    notes: tuple[str, ...] = ()
    integrator_step: float | None = None

    def about_step(self, learned: float) -> list[str]:
        """What a user should know where the file's steps are longer than those that a field was learned from [fs]."""
        step = self.integrator_step
        if step is None or step <= 1.01 * learned:
            return []
        different = f"the file was simulated in steps of {step:g} fs, but the run learned from {learned:g} fs"
        return [f"{different}: fast oscillations are faster in the file; `neuralmd mismatch` tells by how much"]


def gaps_of(path: Path, timestep: float | None = None, declared: Declared = AS_IT_IS) -> Gaps:
    """The gaps of a coarse file. Arguments and errors are those of `neuralmd.data.formats.open_reader`."""
    with open_reader(path, timestep=timestep, declared=declared) as reader:
        filled = [segment for segment in reader.segments if segment.length > 1]
        notes = (*reader.notes, *check_units(reader))
        step = integrator_step(reader.metadata)
    lengths = dict.fromkeys(segment.timestep for segment in filled)
    return Gaps(sum(segment.length - 1 for segment in filled), tuple(lengths), notes, step)
