"""`view`: a trajectory that turns and plays in a notebook, in one piece of HTML that needs no network."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from neuralmd import __version__
from neuralmd.data.objects import trajectory
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.report.html import embedding
from neuralmd.report.html.embedding import asset, trusted
from neuralmd.report.html.scene import Layer, drawn

_MOST_FRAMES: Final = 1000
_MOST_COORDINATES: Final = 1_500_000


@dataclass(frozen=True)
class View:
    """A picture that a notebook shows by itself: drag to turn, press the button to play.

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


def view(source: Any, *, beside: Any = None, stride: int | None = None, height: int = 480) -> View:
    """Show a trajectory in three dimensions.

    Atoms are coloured by their distance from the truth where it is given, or else by their error bars where the
    trajectory has them, or else by element.

    Args:
        source: A `Trajectory`, or whatever `neuralmd.data.objects.trajectory` takes; its first thousand frames are
            shown, fewer of a large system.
        beside: The truth: a trajectory of the same atoms and frames, or whatever else to compare with. It is drawn as a
            shadow.
        stride: Frames from one known frame to the next, to tell known frames from rebuilt ones; none not to.
        height: Height of the picture [pixels].

    Raises:
        DataError: If it is no trajectory, the two differ in their atoms or frames, or the stride is below 1.
    """
    if stride is not None and stride < 1:
        raise DataError(f"the stride must be at least 1, but is {stride}: give stride=None to tell no frames apart")
    shown = _first(trajectory(source))
    truth = None if beside is None else _first(trajectory(beside))
    if truth is not None and (not truth.system.same_atoms(shown.system) or len(truth) != len(shown)):
        raise DataError(f"two trajectories are shown together frame by frame, but {shown} and {truth} differ")
    level = shown.metadata.get("error_bar_level")
    scene = drawn(
        shown.system,
        shown.segments[0].timestep,
        [_layer(shown)],
        None if truth is None else truth.positions,
        stride=stride,
        level=None if level is None else float(level),
    )
    return View(_page(shown, scene), height)


def _first(whole: Trajectory) -> Trajectory:
    most = max(1, min(_MOST_FRAMES, _MOST_COORDINATES // (3 * whole.system.atoms)))
    return whole.slice(0, min(len(whole), most))


def _layer(shown: Trajectory) -> Layer:
    bars = None if shown.trust is None else shown.trust.error_bars
    return Layer("shown", "the trajectory", shown.positions, None if bars is None else bars.astype(np.float64))


def _page(shown: Trajectory, scene: dict[str, object]) -> str:
    licence, unpack = asset(embedding.LICENCE), asset("unpack.js")
    scripts = f"/*\n{licence}*/\n{asset(embedding.LIBRARY)}\n{asset('viewer.js')}"
    template = embedding.templates().get_template("alone.html.j2")
    return template.render(
        alt=f"{shown.system.formula}, {shown.system.atoms} atoms, {len(shown)} frames, in 3-D",
        frames=len(shown),
        version=__version__,
        viewer_version=embedding.VIEWER_VERSION,
        policy=embedding.policy([scripts, unpack]),
        style=trusted(asset("view.css") + asset("alone.css")),
        scene=trusted(embedding.for_script(scene)),
        packed=embedding.packed(scripts),
        unpack=trusted(unpack),
    )
