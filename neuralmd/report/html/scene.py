"""`Scene`: what the 3-D view of a report shows; `drawn`: any 3-D view, as the plain values that its script reads."""

from __future__ import annotations

import base64
from collections.abc import Sequence
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
        flags: Sum of the `Flag`s of each gap; none where nobody says.
        first: The frame of its source at which it begins.
        begins: When that is [fs].
    """

    system: System
    timestep: float
    stride: int
    layers: tuple[Layer, ...]
    truth: Float[np.ndarray, "frames atoms 3"] | None
    level: float | None
    source: str
    notes: tuple[str, ...] = ()
    flags: tuple[int, ...] | None = None
    first: int = 0
    begins: float = 0.0

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
        """Plain values for JSON; see `drawn`."""
        values = drawn(self.system, self.timestep, self.layers, self.truth, stride=self.stride, level=self.level)
        return {**values, "flags": self.flags, "first": self.first, "begins": self.begins}


def drawn(
    system: System,
    timestep: float,
    layers: Sequence[Layer],
    truth: Float[np.ndarray, "frames atoms 3"] | None,
    *,
    stride: int | None,
    level: float | None,
) -> dict[str, object]:
    """What the script of the 3-D view reads, as plain values for JSON; coordinates as base64 of little-endian float32.

    A drift of the molecule is taken out, the same one from the truth and all layers.

    Args:
        system: The atoms.
        timestep: Time from frame to frame [fs].
        layers: What is shown, one at a time; the first one at the start.
        truth: What they are compared with [A], or none.
        stride: Frames from one known frame to the next; none to tell known frames from others not at all.
        level: Part of all components that is stated to lie within their error bar; none where nobody says.
    """
    first = layers[0].positions
    known = range(0, len(first), 1 if stride is None else stride)
    shift = _shift(system, first)
    return {
        "symbols": system.symbols,
        "bonds": _bonds(system, first[:: known.step]).tolist(),
        "frames": len(first),
        "timestep": timestep,
        "stride": stride,
        "known": [] if stride is None else list(known),
        "truth": None if truth is None else _packed(truth - shift),
        "level": level,
        "view": _thinnest_direction(first[0]),
        "cell": system.cell.tolist() if system.pbc.any() else None,
        "origin": (-shift[0, 0]).tolist(),
        "layers": [
            {
                "label": layer.label,
                "positions": _packed(layer.positions - shift),
                "bars": None if layer.error_bars is None else _packed(layer.error_bars),
            }
            for layer in layers
        ],
    }


def _shift(system: System, positions: Float[np.ndarray, "frames atoms 3"]) -> Float[np.ndarray, "frames 1 3"]:
    """The middle of the atoms at each frame; that of the first one at all, where there is a cell to stay in."""
    middle = positions.mean(axis=1, keepdims=True)
    return np.broadcast_to(middle[:1], middle.shape) if system.pbc.any() else middle


def _bonds(system: System, frames: Float[np.ndarray, "frames atoms 3"]) -> Int[np.ndarray, "bonds 2"]:
    """The bonds in some frames, but those that would be drawn across a periodic cell."""
    topology = Topology.of(Trajectory.uniform(system, frames, 1.0))
    if len(topology.bonds) == 0:
        return topology.bonds
    ends = frames[0][topology.bonds]
    drawn_length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    bound_length = np.linalg.norm(ends[:, 1] + topology.shifts - ends[:, 0], axis=1)
    return topology.bonds[drawn_length < _LONGEST_LINE * np.maximum(bound_length, 1e-9)]


def _packed(values: Float[np.ndarray, "..."]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def _thinnest_direction(positions: Float[np.ndarray, "atoms 3"]) -> list[float]:
    """The rotation, as a quaternion (x, y, z, w), that turns a molecule's thinnest direction to who looks at it."""
    from scipy.spatial.transform import Rotation

    away = positions - positions.mean(axis=0)
    axes = np.linalg.eigh(away.T @ away)[1].T[::-1].copy()
    axes[2] *= np.sign(np.linalg.det(axes)) or 1.0
    return Rotation.from_matrix(axes).as_quat().tolist()
