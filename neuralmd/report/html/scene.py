"""`Scene`: what the 3-D view of a report shows, as the plain values that its script reads."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neuralmd.data.trajectory import Trajectory
from neuralmd.evaluation.distributions import Topology
from neuralmd.system import System

_LONGEST_LINE = 2.2
"""Times the bond in the first frame, beyond which a line would cross a periodic cell and is left out [A]."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What one method makes of a stretch of frames.

    Attributes:
        name: The method, as files name it.
        label: The method, as a reader knows it.
        positions: Rebuilt frames between anchors as they were [A].
        error_bars: Half-width for each atom, zero at the anchors [A]; none without a calibration.
    """

    name: str
    label: str
    positions: Float[np.ndarray, "frames atoms 3"]
    error_bars: Float[np.ndarray, "frames atoms"] | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A stretch of consecutive frames that begins with an anchor and ends with one.

    Attributes:
        system: The atoms.
        timestep: Time from frame to frame [fs].
        stride: Frames from anchor to anchor.
        layers: What the methods make of it; the first one is what the report is about.
        truth: The frames as they truly are [A]; none where nobody knows them.
        level: Part of all components that is stated to lie within their error bar; none without error bars.
        source: Where the frames come from, in words.
        notes: What should be known of it, a sentence each.
    """

    system: System
    timestep: float
    stride: int
    layers: tuple[Layer, ...]
    truth: Float[np.ndarray, "frames atoms 3"] | None
    level: float | None
    source: str
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.layers[0].positions)

    @property
    def gaps(self) -> int:
        """Number of gaps."""
        return (self.frames - 1) // self.stride

    @property
    def has_error_bars(self) -> bool:
        """Whether what the report is about has error bars."""
        return self.layers[0].error_bars is not None

    def root_mean_square_error(self, layer: int) -> float | None:
        """sqrt(mean |x_hat - x|^2 / 3) over the hidden frames of a layer and its atoms [A]; none without the truth."""
        if self.truth is None:
            return None
        hidden = np.arange(self.frames) % self.stride != 0
        return float(np.sqrt(np.square((self.layers[layer].positions - self.truth)[hidden]).mean()))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; coordinates as base64 of little-endian float32.

        A drift of the molecule is taken out, the same one from the truth and all methods.
        """
        shift = self._shift()
        return {
            "symbols": self.system.symbols,
            "bonds": self._bonds().tolist(),
            "frames": self.frames,
            "timestep": self.timestep,
            "stride": self.stride,
            "known": list(range(0, self.frames, self.stride)),
            "truth": None if self.truth is None else _packed(self.truth - shift),
            "level": self.level,
            "view": _thinnest_direction(self.layers[0].positions[0]),
            "cell": self.system.cell.tolist() if self.system.pbc.any() else None,
            "origin": (-shift[0, 0]).tolist(),
            "layers": [
                {
                    "label": layer.label,
                    "positions": _packed(layer.positions - shift),
                    "bars": None if layer.error_bars is None else _packed(layer.error_bars),
                }
                for layer in self.layers
            ],
        }

    def _shift(self) -> Float[np.ndarray, "frames 1 3"]:
        """The middle of the atoms at each frame; that of the first one at all, where there is a cell to stay in."""
        middle = self.layers[0].positions.mean(axis=1, keepdims=True)
        return np.broadcast_to(middle[:1], middle.shape) if self.system.pbc.any() else middle

    def _bonds(self) -> Int[np.ndarray, "bonds 2"]:
        positions = self.layers[0].positions
        known = Trajectory.uniform(self.system, positions[:: self.stride], self.timestep * self.stride)
        topology = Topology.of(known)
        if len(topology.bonds) == 0:
            return topology.bonds
        ends = positions[0][topology.bonds]
        drawn = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        bound = np.linalg.norm(ends[:, 1] + topology.shifts - ends[:, 0], axis=1)
        return topology.bonds[drawn < _LONGEST_LINE * np.maximum(bound, 1e-9)]


def _packed(values: Float[np.ndarray, "..."]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def _thinnest_direction(positions: Float[np.ndarray, "atoms 3"]) -> list[float]:
    """The rotation, as a quaternion (x, y, z, w), that turns a molecule's thinnest direction to who looks at it."""
    from scipy.spatial.transform import Rotation

    axes = np.linalg.svd(positions - positions.mean(axis=0), full_matrices=True)[2]
    axes[2] *= np.sign(np.linalg.det(axes)) or 1.0
    return Rotation.from_matrix(axes).as_quat().tolist()
