"""Windows whose anchors have inferred velocities: what is scored where a file holds coarse positions only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from neuralmd.data.trajectory import VelocitySource
from neuralmd.errors import ConfigError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.remarks import remarks
from neuralmd.interpolators.shooting import Dynamics, Inferred, Shooting, infer_velocities, join
from neuralmd.system import System


def dynamics_if_any(model: Interpolator, system: System) -> Dynamics | None:
    """The field of a model, which the inference of velocities needs; none of a model without one."""
    return Dynamics(system, model.field, model.solver) if isinstance(model, BidirectionalODE) else None


def dynamics_of(model: Interpolator, system: System) -> Dynamics:
    """The field of a model, which the inference of velocities needs.

    Raises:
        ConfigError: If the model has none.
    """
    dynamics = dynamics_if_any(model, system)
    if dynamics is None:
        raise ConfigError("velocities are inferred with the field of a neural ODE, but this run's model has no field")
    return dynamics


def with_inferred_velocities(
    windows: Windows,
    dynamics: Dynamics,
    how: Shooting | None = None,
    advance: Callable[[int], None] | None = None,
) -> Windows:
    """The same windows as a file of coarse positions would give them.

    The anchors' velocities are inferred from the anchors' positions alone. All other velocities are made NaN and all
    forces are dropped, so that nothing of the hidden frames, and no velocity of the file, can reach a method.

    Args:
        windows: The windows; those that follow each other are inferred from together.
        dynamics: The field.
        how: Prior, noise and effort of the inference.
        advance: Called with the number of anchors done.

    Raises:
        SolverError: If not a single gap can be solved.
    """
    frames, stride = windows.frames, windows.stride
    velocities = torch.full_like(frames.velocities, torch.nan)
    parts: list[Inferred] = []
    done = 0
    for start, stop in _runs(windows.starts.tolist(), stride):
        anchors = slice(start, stop + 1, stride)

        def within(some: int, before: int = done) -> None:
            if advance is not None:
                advance(before + some)

        parts.append(infer_velocities(dynamics, frames.positions[anchors], stride * frames.timestep, how, within))
        velocities[anchors] = parts[-1].velocities
        done += len(parts[-1].velocities)
    return replace(
        windows,
        frames=replace(frames, velocities=velocities, accelerations=None),
        velocity_source=VelocitySource.INFERRED,
        notes=(*windows.notes, *remarks(join(parts), dynamics.system, stride * frames.timestep)),
    )


def anchors_of(windows: Windows) -> int:
    """Number of anchors; those that two windows share count once."""
    return sum((stop - start) // windows.stride + 1 for start, stop in _runs(windows.starts.tolist(), windows.stride))


def _runs(starts: list[int], stride: int) -> list[tuple[int, int]]:
    """The first and the last anchor of each run of windows that follow each other."""
    runs: list[tuple[int, int]] = []
    for start in starts:
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + stride)
        else:
            runs.append((start, start + stride))
    return runs
