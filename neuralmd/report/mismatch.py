"""Coarse files against a run: whether the dynamics that made them is the one that the run has learned."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.files import TrajectoryReader
from neuralmd.data.formats import open_reader
from neuralmd.data.simulation_settings import integrator_step
from neuralmd.data.tally import temperatures
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.data.windows import Frames
from neuralmd.errors import ConfigError, DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.gap_energies import GapEnergies, gap_energies
from neuralmd.evaluation.mismatch import Mismatch, mismatch
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.one_way import ForwardODE
from neuralmd.report.style import clear, new_figure, save
from neuralmd.report.text_table import TextTable
from neuralmd.runs import TrainedRun
from neuralmd.training.checkpoint import require_same_atoms

_GAPS: Final = 400
_GAPS_WITH_ENERGIES: Final = 25
_ROUNDING: Final = 1e-6
_COLOURS: Final = ("#004488", "#cc6677", "#999933", "#44aa99", "#aa4499", "#ddaa33")


@dataclass(frozen=True)
class CoarseFile:
    """What was found of a file.

    Attributes:
        source: The file.
        engine: What computed its forces, if it tells.
        step: The step of the integrator that made it [fs], if it tells.
        temperature: Mean kinetic temperature of the frames that were read [K].
        mismatch: Between its frames and the run's field.
        energies: Along rebuilt gaps; none if nobody asked for them.
    """

    source: str
    engine: str | None
    step: float | None
    temperature: float
    mismatch: Mismatch
    energies: GapEnergies | None

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        found: dict[str, object] = {"file": self.source, "engine": self.engine, "step_fs": self.step}
        energies = None if self.energies is None else self.energies.to_dict()
        return {**found, "temperature_K": self.temperature, "mismatch": self.mismatch.to_dict(), "energies": energies}


def examine(
    path: Path,
    run: TrainedRun,
    gap: float | None = None,
    engine: str | None = None,
    declared: Declared = AS_IT_IS,
) -> CoarseFile:
    """Look at up to 400 consecutive gaps of a file's longest segment, and at the energies of 25 of them.

    Args:
        path: A coarse or a fine trajectory file.
        run: The run whose field is taken.
        gap: Longest time from anchor to anchor [fs]; none for consecutive frames.
        engine: What computes energies, "gfn2-xtb" or "gfn1-xtb"; none for no energies.
        declared: What the user says about the file.

    Raises:
        ConfigError: If the run's model has no field, or there is no such engine.
        CheckpointError: If the file is of another molecule.
        DataError: If the file cannot be read, has no velocities of its own, or its frames are too far apart.
        SolverError: If the field cannot be solved, or the engine fails.
    """
    model = run.model
    if not isinstance(model, BidirectionalODE):
        raise ConfigError(
            f"{run.folder}: a mismatch is that of a neural ODE's field, but this run's model has no field"
        )
    with open_reader(path, declared=declared) as reader:
        require_same_atoms(run.system, reader.system, path)
        known, stride = _read(reader, path, gap)
        name, step = reader.metadata.get("method"), integrator_step(reader.metadata)
    device = next(model.parameters(), torch.zeros(())).device
    starts = torch.arange(0, len(known) - stride, stride)
    source = known.velocity_source or VelocitySource.STORED
    windows = Windows(str(path), Frames.of(known, device), starts, stride, source)
    found = mismatch(ForwardODE(model.field, model.solver), windows)
    energies = None if engine is None else _energies(model, windows, run.timestep, engine)
    velocities = known.velocities if known.velocities is not None else known.positions[:0]
    kelvin = float(temperatures(known.positions, velocities, known.system).mean())
    return CoarseFile(str(path), name, step, kelvin, found, energies)


def write(files: Sequence[CoarseFile], path: Path) -> None:
    """Write all numbers as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([file.to_dict() for file in files], indent=2) + "\n", encoding="utf-8")


def table(files: Sequence[CoarseFile]) -> TextTable:
    """One row for each file."""
    elements = list(files[0].mismatch.per_element)
    energies = any(file.energies is not None for file in files)
    rows = []
    for file in files:
        found = file.mismatch
        row = [Path(file.source).name, file.engine or "", "" if file.step is None else f"{file.step:g}"]
        row += [f"{found.gap:g}", f"{file.temperature:.0f}"]
        row += [f"{length:.1e}" for length in found.per_element.values()]
        row += [f"{found.velocity:.3f}", f"{found.lead + 0.0:+.3f}"]
        if file.energies is not None:
            row.append(f"{1e3 * file.energies.deviation:.0f}")
        rows.append(row)
    header = ["", "engine", "step [fs]", "gap [fs]", "T [K]", *(f"dx {element} [A]" for element in elements)]
    return TextTable(
        "How far the next known frame is from where the field leads",
        [*header, "dv / v", "lead [fs]", *(["dE [meV]"] if energies else [])],
        rows,
        "dx, dv: root mean squares after one gap; lead: by how much the file is ahead of the field. A file of the "
        "dynamics that the field learned shows the field's own error and the thermostat's noise; what is beyond that "
        "no rebuilding takes away." + (" dE: how far the total energy strays within rebuilt gaps." if energies else ""),
    )


def plot(files: Sequence[CoarseFile], path: Path) -> None:
    """Mismatch of each element, and lead, of each file."""
    figure = new_figure(9.0, 1.4 + 0.42 * len(files))
    left, right = figure.subplots(1, 2, sharey=True)
    rows = list(range(len(files)))
    for axis in (left, right):
        clear(axis)
        axis.grid(axis="x", color="0.9", lw=0.6)
        axis.set_axisbelow(True)
    for element, colour in zip(files[0].mismatch.per_element, itertools.cycle(_COLOURS)):
        values = [1e3 * file.mismatch.per_element[element] for file in files]
        left.plot(values, rows, "o", ms=7, color=colour, label=element)
    left.set_xlim(left=0.0)
    left.set_xlabel("mismatch of positions, root mean square [mÅ]")
    left.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncol=6, handletextpad=0.1)
    right.barh(rows, [file.mismatch.lead for file in files], height=0.55, color="#004488")
    right.axvline(0.0, color="black", lw=0.8)
    right.set_xlabel("ahead of the field by [fs]")
    left.set_yticks(rows, [_label(file) for file in files])
    left.invert_yaxis()
    gaps = " / ".join(dict.fromkeys(f"{file.mismatch.gap:g}" for file in files))
    title = f"Known frames {gaps} fs apart: the next one, against where the field leads"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    save(figure, path)


def _label(file: CoarseFile) -> str:
    step = "" if file.step is None else f", steps of {file.step:g} fs"
    return f"{Path(file.source).stem}{step}"


def _read(reader: TrajectoryReader, path: Path, gap: float | None) -> tuple[Trajectory, int]:
    """The first gaps of the longest segment, and the number of frames from anchor to anchor."""
    if "velocities" not in reader.fields:
        raise DataError(
            f"{path}: holds no velocities, which the field starts from; write them with the simulation, or derive them "
            "from fine frames with `neuralmd thin --velocities central`"
        )
    if gap is not None and not 0 < gap < math.inf:
        raise ConfigError(f"a gap must be positive and finite [fs], but is {gap:g}")
    segment = max(reader.segments, key=lambda each: each.length)
    stride = 1 if gap is None else int(gap / segment.timestep * (1.0 + _ROUNDING))
    if stride < 1:
        raise DataError(f"{path}: its frames are {segment.timestep:g} fs apart, which is more than a gap of {gap:g} fs")
    if segment.length <= stride:
        shown = f"{stride * segment.timestep:g}"
        raise DataError(f"{path}: {segment.length} frames {segment.timestep:g} fs apart hold no gap of {shown} fs")
    length = min((segment.length - 1) // stride, _GAPS) * stride + 1
    return reader.read(segment.start, segment.start + length), stride


def _energies(model: BidirectionalODE, windows: Windows, timestep: float, engine: str) -> GapEnergies:
    from neuralmd.data.engines import calculator

    every = max(1, len(windows.starts) // _GAPS_WITH_ENERGIES)
    chosen = windows.starts[::every][:_GAPS_WITH_ENERGIES]
    few = Windows(windows.source, windows.frames, chosen, windows.stride, windows.velocity_source)
    gap = windows.stride * windows.frames.timestep
    return gap_energies(model, few, max(2, round(gap / timestep)), calculator(engine))
