"""Windows that are unlike what a model was trained on."""

from __future__ import annotations

import numpy as np

from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import Trajectory
from neuralmd.evaluation.evaluate import Windows
from neuralmd.interpolators.doubts import Doubts
from neuralmd.interpolators.watching import against_training


def doubts_of(windows: Windows, seen: Seen) -> Doubts:
    """How many windows are outside the training data, by their true frames and the velocities at their anchors."""
    frames, stride, doubts = windows.frames, windows.stride, Doubts()
    for start in windows.starts.tolist():
        inside = slice(start, start + stride + 1)
        positions, velocities = (each[inside].cpu().numpy() for each in (frames.positions, frames.velocities))
        ends = velocities[::stride] if bool(np.isfinite(velocities[::stride]).all()) else None
        anchors = Trajectory.uniform(frames.system, positions[::stride], stride * frames.timestep, velocities=ends)
        found = against_training(seen, anchors, range(1), positions[:-1])[1]
        doubts = doubts.plus(found, seen).plus(Doubts(gaps=1), seen)
    return doubts
