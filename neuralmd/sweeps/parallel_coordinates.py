"""Parallel coordinates: every trial of a sweep as a line through its settings to what it reached."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuralmd.config.selection import CONFIG_KEY
from neuralmd.report.curves import metric_title
from neuralmd.report.style import new_figure, save
from neuralmd.sweeps.distributions import Value, is_number
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.results import Results, Setting, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

_COLOURS = "viridis"
_BEST = "#cc3311"
_POINTS = 60
_LOGARITHMIC_FROM = 4.0
_MOST_MARKS = 6
_TICK_WIDTH = 16  # letters
_INCHES = (1.55, 2.6)  # for each ruler, and each row


def plot_parallel_coordinates(results: Results, path: Path) -> None:
    """Every trial as a line, coloured by what it reached; a row for each configuration that has settings of its own."""
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable

    rows = _rows(results)
    colours, norm = mpl.colormaps[_COLOURS], _norm(results)
    width = _INCHES[0] * max(len(settings) + 1 for _, _, settings in rows) + 1.6
    figure = new_figure(width, _INCHES[1] * len(rows) + 0.7)
    axes = list(figure.subplots(len(rows), 1, squeeze=False)[:, 0])
    for axis, (title, records, settings) in zip(axes, rows, strict=True):
        rulers = [*(_Ruler.of(one, records) for one in settings), _Ruler.of_metric(results, norm)]
        _draw_row(axis, rulers, records, results.best, (colours, norm))
        axis.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=26)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, pad=0.01, aspect=35)
    bar.set_label(metric_title(results.sweep.metric.name), fontsize=9)
    bar.ax.tick_params(labelsize=8, which="both")
    save(figure, path)


def _rows(results: Results) -> list[tuple[str, list[Record], list[Setting]]]:
    """Title, trials and settings of each row."""
    if not any(one.config for one in results.settings):
        return [(f"{results.sweep.name}, the best in red", list(results.ranked), results.settings)]
    rows = []
    for name in dict.fromkeys(shown(record.values.get(CONFIG_KEY)) for record in results.ranked):
        records = [record for record in results.ranked if shown(record.values.get(CONFIG_KEY)) == name]
        settings = [one for one in results.settings if one.key != CONFIG_KEY and one.config in {None, name}]
        best = ", the best of all in red" if results.best in records else ""
        rows.append((f"{name}{best}", records, settings))
    return rows


def _draw_row(
    axis: Axes, rulers: list[_Ruler], records: list[Record], best: Record, colours: tuple[Colormap, Normalize]
) -> None:
    for record in reversed(records):
        x, y = _smooth(np.array([ruler.height(record) for ruler in rulers]))
        colour = _BEST if record is best else colours[0](colours[1](record.value or 0.0))
        axis.plot(x, y, color=colour, lw=2.4 if record is best else 1.2, alpha=1.0 if record is best else 0.8)
    for place, ruler in enumerate(rulers):
        ruler.draw(axis, place)
    axis.set_xlim(-0.15, len(rulers) - 0.55)
    axis.set_ylim(-0.05, 1.05)
    axis.set_axis_off()


@dataclass(frozen=True)
class _Ruler:
    """An upright axis of one setting: where each value is, from 0 to 1.

    Attributes:
        key: The setting; none for the metric.
        label: What stands above.
        ticks: Height and text of its marks.
        options: The texts of a choice, from bottom to top; empty for numbers.
        ends: Lowest and highest number, as logarithms where `is_log`.
        is_log: Whether logarithms are shown.
    """

    key: str | None
    label: str
    ticks: tuple[tuple[float, str], ...]
    options: tuple[str, ...]
    ends: tuple[float, float]
    is_log: bool

    @classmethod
    def of(cls, setting: Setting, records: Sequence[Record]) -> _Ruler:
        """The ruler of a setting."""
        values = [record.values[setting.key] for record in records if setting.key in record.values]
        numbers = [value for value in values if is_number(value)]
        different = sorted(set(numbers))
        if len(numbers) == len(values) and len(different) > 1:
            is_log = different[0] > 0 and different[-1] / different[0] >= _LOGARITHMIC_FROM
            return cls._of_numbers(setting.key, setting.label, different, is_log=is_log)
        options = tuple(dict.fromkeys(shown(value) for value in sorted(values, key=shown)))
        heights = [0.5] if len(options) == 1 else np.linspace(0.0, 1.0, len(options)).tolist()
        return cls(setting.key, setting.label, tuple(zip(heights, options, strict=True)), options, (0, 1), is_log=False)

    @classmethod
    def of_metric(cls, results: Results, norm: Normalize) -> _Ruler:
        """The ruler of what was reached, the same in all rows."""
        from matplotlib.colors import LogNorm

        values = sorted({record.value for record in results.ranked if record.value is not None})
        ends = [values[0], values[-1]] if len(values) > 1 else [values[0], values[0] + 1.0]
        label = results.sweep.metric.name.partition("/")[2].removesuffix("_A")
        return cls._of_numbers(None, label, ends, is_log=isinstance(norm, LogNorm))

    @classmethod
    def _of_numbers(cls, key: str | None, label: str, different: Sequence[float], *, is_log: bool) -> _Ruler:
        low, high = (math.log(end) if is_log else end for end in (different[0], different[-1]))
        whole = all(isinstance(one, int) for one in different)
        few = different if whole and len(different) <= _MOST_MARKS else [different[0], different[-1]]
        marks = tuple((((math.log(one) if is_log else one) - low) / (high - low), shown(one)) for one in few)
        return cls(key, label, marks, (), (low, high), is_log)

    def height(self, record: Record) -> float:
        """Where a trial is; not a number if it has no such setting."""
        value: Value = record.value if self.key is None else record.values.get(self.key, math.nan)
        if self.options:
            return next((height for height, text in self.ticks if text == shown(value)), math.nan)
        number = value if is_number(value) else math.nan
        return ((math.log(number) if self.is_log else number) - self.ends[0]) / (self.ends[1] - self.ends[0])

    def draw(self, axis: Axes, place: int) -> None:
        """Draw the ruler at a place of the row."""
        axis.plot([place, place], [0.0, 1.0], color="black", lw=1.0)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
        for height, text in self.ticks:
            axis.plot([place - 0.02, place + 0.02], [height, height], color="black", lw=1.0)
            words = textwrap.fill(text, _TICK_WIDTH)
            axis.text(place + 0.04, height, words, fontsize=8, va="center", ha="left", bbox=box)
        name = self.label.replace("_", " ").replace(".", "\n").replace("mae", "MAE")
        axis.text(place, 1.06, name, fontsize=9, ha="center", va="bottom")


def _smooth(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line through the heights at 0, 1, 2, ... that is level at each."""
    x = np.linspace(0.0, len(heights) - 1.0, _POINTS * (len(heights) - 1) + 1)
    left = np.minimum(x.astype(int), len(heights) - 2)
    part = x - left
    weight = part * part * (3.0 - 2.0 * part)
    return x, heights[left] * (1.0 - weight) + heights[left + 1] * weight


def _norm(results: Results) -> Normalize:
    from matplotlib.colors import LogNorm, Normalize

    values = [record.value for record in results.ranked if record.value is not None]
    low, high = min(values), max(values)
    if low > 0 and high / low > 3.0:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1.0)
