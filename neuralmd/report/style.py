"""What all figures have in common: the line of each method, empty figures, and how they are saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuralmd.evaluation.methods import NEURAL_ODE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNNAMED = ("#004488", "#cc6677", "#999933", "#44aa99", "#aa4499", "#ddaa33")


@dataclass(frozen=True)
class Style:
    """The line of a method.

    Attributes:
        label: What the legend calls it.
        colour: Its colour.
        width: Its width [points].
        dashes: Its dashes, as matplotlib has them.
    """

    label: str
    colour: str
    width: float = 1.3
    dashes: str | tuple[int, tuple[float, ...]] = "-"


STYLES = {
    "linear": Style("linear", "#bbbbbb"),
    "cubic_spline": Style("cubic spline", "#999933"),
    "cubic_hermite": Style("cubic Hermite", "#cc6677"),
    "quintic_hermite": Style("quintic Hermite", "#aa4499"),
    "neural_ode_forward": Style("forward only", "#ddaa33", dashes=(0, (4, 1.5))),
    "neural_ode_backward": Style("backward only", "#44aa99", dashes=(0, (1.5, 1.2))),
    NEURAL_ODE: Style("blend", "#004488", width=2.0),
    "rnn_forward": Style("RNN forward only", "#bb7755", dashes=(0, (4, 1.5))),
    "rnn_backward": Style("RNN backward only", "#ddaa88", dashes=(0, (1.5, 1.2))),
    "rnn": Style("RNN", "#661100", width=2.0),
    "rnn_whole_gap": Style("RNN over the whole gap", "#994433", width=2.0, dashes=(0, (6, 1.0, 1.0, 1.0))),
    "gru_forward": Style("GRU forward only", "#88bb88", dashes=(0, (4, 1.5))),
    "gru_backward": Style("GRU backward only", "#66aa99", dashes=(0, (1.5, 1.2))),
    "gru": Style("GRU", "#117733", width=2.0),
    "gru_whole_gap": Style("GRU over the whole gap", "#55aa55", width=2.0, dashes=(0, (6, 1.0, 1.0, 1.0))),
    "lstm_forward": Style("LSTM forward only", "#ee8866", dashes=(0, (4, 1.5))),
    "lstm_backward": Style("LSTM backward only", "#ddbb66", dashes=(0, (1.5, 1.2))),
    "lstm": Style("LSTM", "#882255", width=2.0),
    "lstm_whole_gap": Style("LSTM over the whole gap", "#332288", width=2.0, dashes=(0, (6, 1.0, 1.0, 1.0))),
}
"""The lines of the known methods."""


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """The lines of some methods, or of files; a name that is no method's gets the next free colour."""
    chosen = {name: STYLES.get(name) for name in names}
    taken = {style.colour for style in chosen.values() if style is not None}
    free = [colour for colour in _UNNAMED if colour not in taken] or list(_UNNAMED)
    unnamed = [name for name, style in chosen.items() if style is None]
    colours = {name: free[index % len(free)] for index, name in enumerate(unnamed)}
    return {name: style or Style(name, colours[name]) for name, style in chosen.items()}


def draw(axis: Axes, x: np.ndarray, y: np.ndarray, style: Style) -> None:
    """Draw a method's line."""
    axis.plot(x, y, color=style.colour, lw=style.width, ls=style.dashes, label=style.label)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure [inches] that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=160)
    FigureCanvasAgg(figure)
    return figure


def clear(axis: Axes) -> None:
    """Take away what an axis does not need."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=9)


def stacked(rows: int, width: float, row_height: float) -> tuple[Figure, list[Axes]]:
    """A figure of axes one below the other that share their x axis."""
    figure = new_figure(width, rows * row_height + 0.6)
    axes = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    for axis in axes:
        clear(axis)
    figure.align_ylabels(axes)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write a figure, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
