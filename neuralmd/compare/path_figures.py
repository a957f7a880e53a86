"""The figure of paths: three coordinates through a few gaps, method below method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Float

from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.rebuild import GapPaths, gap_paths, true_trajectory
from neuralmd.interpolators.base import Interpolator
from neuralmd.report.style import Style, clear, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAPS: Final = 4
_COORDINATES: Final = 3
_MARGIN: Final = 0.25
"""Room above and below the truth, as a part of its range; what strays farther is cut."""

_AXIS_NAMES: Final = "xyz"
_NOTHING: Final = 1e-6
"""Error below which a path meets its anchor [A]; a logarithmic axis has no place for it."""


@dataclass(frozen=True, eq=False)
class ShownMethod:
    """A method in the figure.

    Attributes:
        method: What rebuilds.
        style: Its line and name.
    """

    method: Interpolator
    style: Style


def plot_path_rows(methods: Sequence[ShownMethod], windows: Windows, title: str, path: Path) -> None:
    """Three coordinates through several gaps, and the error of all atoms, a row for each method.

    Every gap's path is drawn with its own ends, so that a method which misses its second anchor shows a step there.

    Args:
        methods: What to show; the coordinates are those that the first one misses most, of different atoms.
        windows: The windows of an evaluation; the first few that follow each other are shown.
        title: The figure's title.
        path: The PNG to write.
    """
    shown = _few(windows)
    truth = true_trajectory(shown).positions
    paths = {one.style.label: gap_paths(one.method, shown) for one in methods}
    chosen = _most_missed(next(iter(paths.values())), truth)
    height = 1.05 if len(methods) > 4 else 1.5
    figure = new_figure(13.0, 1.1 + height * len(methods))
    axes = figure.subplots(len(methods), _COORDINATES + 1, sharex=True, sharey="col", squeeze=False)
    for row, one in zip(axes, methods, strict=True):
        found = paths[one.style.label]
        for axis, coordinate in zip(row, chosen, strict=False):
            _draw_coordinate(axis, found, truth, coordinate, one.style)
        _draw_error(row[-1], found, truth, one.style)
        row[0].set_ylabel(one.style.label.replace(" ", "\n", 1), rotation=0, ha="right", va="center", fontsize=10)
    names = [f"{windows.frames.system.symbols[atom]}{atom + 1} {_AXIS_NAMES[axis]} [Å]" for atom, axis in chosen]
    for axis, name in zip(axes[0], [*names, "mean error, all atoms [Å]"], strict=True):
        axis.set_title(name, fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("time [fs]")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    known = {label: handle for handle, label in zip(handles, labels, strict=True) if label in ("truth", "anchors")}
    figure.legend(known.values(), known, loc="upper right", ncol=2, frameon=False, fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    save(figure, path)


def _few(windows: Windows) -> Windows:
    """The first few windows that follow each other."""
    consecutive = int((windows.starts[:_GAPS].diff() == windows.stride).long().cumprod(0).sum()) + 1
    return replace(windows, starts=windows.starts[:consecutive])


def _most_missed(paths: GapPaths, truth: Float[np.ndarray, "frames atoms 3"]) -> list[tuple[int, int]]:
    """The worst component of each of the three atoms that a method misses most; fewer for a smaller molecule."""
    missed = np.abs(paths.trajectory().positions - truth).mean(axis=0)
    atoms = np.argsort(missed.max(axis=1))[::-1][:_COORDINATES]
    chosen = [(int(atom), int(missed[atom].argmax())) for atom in atoms]
    return chosen + [chosen[-1]] * (_COORDINATES - len(chosen))


def _draw_coordinate(
    axis: Axes, paths: GapPaths, truth: Float[np.ndarray, "frames atoms 3"], coordinate: tuple[int, int], style: Style
) -> None:
    atom, component = coordinate
    stride, dt = paths.windows.stride, paths.windows.frames.timestep
    true, times = truth[:, atom, component], dt * np.arange(len(truth))
    axis.plot(times, true, color="0.78", lw=4.0, solid_capstyle="round", label="truth")
    for inside, part in _gaps(paths):
        axis.plot(inside, part[:, atom, component], color=style.colour, lw=1.4, label=style.label)
    margin = _MARGIN * float(np.ptp(true))
    axis.set_ylim(float(true.min()) - margin, float(true.max()) + margin)
    axis.plot(times[::stride], true[::stride], "o", ms=4.5, color="black", label="anchors", zorder=3)
    _finish(axis, times[::stride])
    axis.locator_params(axis="y", nbins=4)


def _draw_error(axis: Axes, paths: GapPaths, truth: Float[np.ndarray, "frames atoms 3"], style: Style) -> None:
    """Over all atoms; none where a path meets its anchor."""
    stride, dt = paths.windows.stride, paths.windows.frames.timestep
    for index, (inside, part) in enumerate(_gaps(paths)):
        error = np.abs(part - truth[index * stride : (index + 1) * stride + 1]).mean(axis=(1, 2))
        axis.plot(inside, np.where(error > _NOTHING, error, np.nan), color=style.colour, lw=1.4)
    axis.set_yscale("log")
    axis.grid(visible=True, axis="y", which="major", color="0.92", lw=0.8)
    _finish(axis, dt * np.arange(0, len(truth), stride))


def _gaps(
    paths: GapPaths,
) -> Iterator[tuple[Float[np.ndarray, " step"], Float[np.ndarray, "step atoms 3"]]]:
    """Times [fs] and path of each gap, both ends included."""
    stride, dt = paths.windows.stride, paths.windows.frames.timestep
    for index in range(paths.positions.shape[1]):
        yield dt * (index * stride + np.arange(stride + 1)), paths.positions[:, index].numpy()


def _finish(axis: Axes, anchors: Float[np.ndarray, " anchors"]) -> None:
    clear(axis)
    axis.tick_params(labelsize=8)
    for time in anchors:
        axis.axvline(time, color="0.88", lw=0.8, zorder=0)
    axis.set_xlim(float(anchors[0]) - 0.4, float(anchors[-1]) + 0.4)
