"""Coarse frames of a file that holds no velocities, given those that their positions tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.formats import open_reader
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.interpolators.remarks import remarks
from neuralmd.interpolators.shooting import Dynamics, infer_velocities

_FRAMES_TRIED = 64


def with_velocities(known: Trajectory, dynamics: Dynamics) -> tuple[Trajectory, list[str]]:
    """Consecutive frames of one segment with inferred velocities, and what should be known of these.

    See `infer_velocities`, which asks for some frames more than are needed, on either side.

    Raises:
        DataError: If there are fewer than two frames.
        SolverError: If not a single gap can be solved.
    """
    parameter = next(dynamics.field.parameters(), torch.zeros(()))
    positions = torch.as_tensor(known.positions, dtype=torch.float64, device=parameter.device)
    found = infer_velocities(dynamics, positions, known.timestep)
    velocities = found.velocities.cpu().numpy()
    told = remarks(found, known.system, known.timestep)
    return replace(known, velocities=velocities, velocity_source=VelocitySource.INFERRED), told


def about_velocities(
    coarse: Path, dynamics: Dynamics, timestep: float | None = None, declared: Declared = AS_IT_IS
) -> list[str]:
    """What should be known of the velocities that will be inferred for a coarse file, by the first of its frames.

    Nothing if it has its own, or is no file that the field could infer them for.

    Raises:
        DataError: If the file cannot be read.
        SolverError: If not a single gap can be solved.
    """
    with open_reader(coarse, timestep=timestep, declared=declared) as reader:
        segment = max(reader.segments, key=lambda each: each.length)
        if "velocities" in reader.fields or segment.length < 2 or not dynamics.system.same_atoms(reader.system):
            return []
        return with_velocities(reader.read(segment.start, min(segment.stop, segment.start + _FRAMES_TRIED)), dynamics)[
            1
        ]
