"""`view`: a trajectory that turns and plays in a notebook, in one piece of HTML that needs no network."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.objects import trajectory
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.evaluation.distributions import Topology

_PAGE: Final = Path(__file__).with_suffix(".html")
_MARK: Final = "/* scene */ null"
_MOST_FRAMES: Final = 1000
_RADIUS: Final = 0.32
"""Part of its covalent radius that an atom's ball has."""

_STEPS: Final = 32_000
"""Steps on either side of zero into which coordinates are rounded."""

_SHADE: Final = 0.55


@dataclass(frozen=True)
class View:
    """A picture that a notebook shows by itself: drag to turn, scroll to zoom, press the button to play.

    Attributes:
        page: A whole HTML page.
        height: Its height [pixels].
    """

    page: str
    height: int

    def __repr__(self) -> str:
        return f"View({len(self.page) / 1e3:.0f} kB of HTML; a notebook shows it, save(path) keeps it)"

    def _repr_html_(self) -> str:
        style = f"width: 100%; max-width: 720px; height: {self.height}px; border: 1px solid #ddd; border-radius: 6px"
        page = html.escape(self.page).replace("\n", "&#10;")  # one line, as Markdown wants it
        return f'<div><iframe srcdoc="{page}" style="{style}"></iframe></div>'

    def save(self, path: Path | str) -> None:
        """Write the page to a file that any browser opens."""
        Path(path).write_text(self.page, encoding="utf-8")


def view(source: Any, *, beside: Any = None, stride: int | None = None, height: int = 420) -> View:
    """Show a trajectory in three dimensions.

    Args:
        source: A `Trajectory`, or whatever `neuralmd.data.objects.trajectory` takes; its first thousand frames are
            shown.
        beside: Another one of the same atoms and frames, drawn as red circles: the truth, for instance.
        stride: Frames from one known frame to the next, to tell known frames from rebuilt ones; none not to.
        height: Height of the picture [pixels].

    Raises:
        DataError: If it is no trajectory, or the two differ in their atoms or frames.
    """
    shown = _first(trajectory(source))
    others = [] if beside is None else [_first(trajectory(beside))]
    for other in others:
        if not other.system.same_atoms(shown.system) or len(other) != len(shown):
            raise DataError(f"two trajectories are shown together frame by frame, but {shown} and {other} differ")
    middle = shown.positions.mean(axis=(0, 1))
    reach = max(float(np.abs(one.positions - middle).max()) for one in (shown, *others))
    scene = {
        **_look(shown),
        "radius": float(np.linalg.norm(shown.positions[0] - middle, axis=1).max()) + 0.4,
        "frames": len(shown),
        "timestep": shown.segments[0].timestep,
        "stride": stride,
        "paths": [
            {"x": _packed(one.positions - middle, reach), "unit": reach / _STEPS, "ghost": one is not shown}
            for one in (shown, *others)
        ],
    }
    return View(_PAGE.read_text(encoding="utf-8").replace(_MARK, json.dumps(scene)), height)


def _first(whole: Trajectory) -> Trajectory:
    return whole.slice(0, min(len(whole), _MOST_FRAMES))


def _look(shown: Trajectory) -> dict[str, Any]:
    """Colours, sizes and bonds."""
    from ase.data import covalent_radii
    from ase.data.colors import jmol_colors

    numbers = shown.system.atomic_numbers
    colours = jmol_colors[numbers] * 0.96
    return {
        "colours": [_css(colour) for colour in colours],
        "shades": [_css(colour * _SHADE) for colour in colours],
        "radii": [float(_RADIUS * radius + 0.08) for radius in covalent_radii[numbers]],
        "bonds": [[int(i), int(j)] for i, j in Topology.of(shown).bonds],
    }


def _css(colour: Float[np.ndarray, " 3"]) -> str:
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in colour)


def _packed(positions: Float[np.ndarray, "frames atoms 3"], reach: float) -> str:
    steps = np.rint(positions / reach * _STEPS).astype("<i2")
    return base64.b64encode(steps.tobytes()).decode("ascii")
