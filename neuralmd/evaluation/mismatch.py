"""Mismatch: how far the dynamics that made a file is from the dynamics that a field has learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.rebuild import gap_paths
from neuralmd.interpolators.one_way import ForwardODE


@dataclass(frozen=True)
class Mismatch:
    """How far the next anchor is from where the forward solution ends.

    dx = x(t + gap) - x_fwd(t + gap),  dv = v(t + gap) - v_fwd(t + gap)

    A frame of the dynamics that the field has learned differs from the solution by the field's error and the
    thermostat's noise. A frame of another dynamics, as of a larger time step or another engine, differs by more, and no
    blend of two solutions can take that away: it only spreads it over the gap.

    Attributes:
        gap: From anchor to anchor [fs].
        gaps: How many were looked at.
        position: Root mean square of dx over gaps, atoms and components [A].
        per_element: The same of the atoms of each element [A].
        velocity: Root mean square of dv over that of v.
        lead: sum m dx.v / sum m v.v, the time by which the anchors are ahead of the solution [fs]. It is near 0 for
            errors that know no direction. Velocity Verlet with a step of h, small against 1 / w, is ahead by
            gap h^2 w^2 / 24 + h^2 w sin(2 w gap) / 16 for an oscillation of angular frequency w: it is too fast, and
            its velocities are too small for its positions.
    """

    gap: float
    gaps: int
    position: float
    per_element: Mapping[str, float]
    velocity: float
    lead: float

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def mismatch(forward: ForwardODE, windows: Windows) -> Mismatch:
    """Solve the field over each gap, from its first anchor, and compare the end with the second anchor.

    Args:
        forward: The field and its solver.
        windows: The gaps; hidden frames are not looked at, and with a stride of 1 there are none.

    Raises:
        DataError: If there is no window, or the atoms stand still.
        SolverError: If the field cannot be solved.
    """
    paths = gap_paths(forward, windows)
    frames, ends = windows.frames, windows.starts + windows.stride
    velocities = frames.velocities[ends.to(frames.velocities.device)].cpu()
    positions = frames.positions[ends.to(frames.positions.device)].cpu()
    dx, dv = positions - paths.positions[-1], velocities - paths.velocities[-1]
    speed = _rms(velocities)
    if speed == 0.0:
        raise DataError(f"{windows.source}: the atoms stand still, which no dynamics does")
    masses = torch.as_tensor(frames.system.masses)[:, None]
    symbols = np.asarray(frames.system.symbols)
    return Mismatch(
        gap=windows.stride * frames.timestep,
        gaps=len(ends),
        position=_rms(dx),
        per_element={
            symbol: _rms(dx[:, np.flatnonzero(symbols == symbol)]) for symbol in sorted(set(symbols.tolist()))
        },
        velocity=_rms(dv) / speed,
        lead=float((masses * dx * velocities).sum() / (masses * velocities.square()).sum()),
    )


def _rms(values: Float[Tensor, "gap atoms 3"]) -> float:
    return float(values.square().mean().sqrt())
