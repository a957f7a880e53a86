"""The tables of a comparison, for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from neuralmd.compare.comparison import Comparison, Row, mean_and_spread
from neuralmd.report.text_table import TextTable

_ACCURACY: Final = {
    "MAE [mÅ]": ("mae", 1e3),
    "RMSE [mÅ]": ("rmse", 1e3),
    "energy [meV]": ("energy_error", 1.0),
    "spectrum": ("spectrum_difference", 1.0),
    "v jump": ("velocity_jump", 1.0),
    "2nd diff.": ("second_difference_ratio", 1.0),
    "x jump [mÅ]": ("position_jump", 1e3),
}
"""Column -> quantity of the score, and how many of the column's units make one of the score's."""

_WITH_SPREAD: Final = ("mae", "rmse")
_ROUNDING: Final = 1e-6
"""What is below is 0, but for rounding."""

_ACCURACY_CAPTION: Final = (
    "Best first; 1 mÅ = 0.001 Å; ± is the standard deviation over seeds. Energy: mean |E(rebuilt) - E(true)| of frames "
    "under the engine that made the data. Spectrum: integral of |D - D_true| over that of D_true. At the anchors: the "
    "jump of the velocity over the true one's RMS, the RMS second difference over the true one's, and the jump of x."
)
_ANCHOR_CAPTION: Final = (
    "The same weights from the first anchor only, from the second only, and from both. Jump: of the velocity at an "
    "anchor, over the true one's RMS. A network over the whole gap has one direction, which sees both anchors."
)
_COST_CAPTION: Final = (
    "NFE: configurations at which the field is evaluated for one gap; splines and recurrent networks have no field. "
    "ms/frame: on the machine of this comparison, 64 gaps at once."
)


def stride_table(comparison: Comparison) -> TextTable:
    """The mean absolute error at every stride."""
    strides = comparison.strides
    rows = _ranked([*comparison.splines, *comparison.finals], comparison.trained_stride)
    best = {
        stride: min((row.mean(stride, "mae") for row in rows if stride in row.scores), default=0) for stride in strides
    }
    cells = [
        [row.name, *(_best(_quantity(row, stride, "MAE [mÅ]"), row, stride, best[stride]) for stride in strides)]
        for row in rows
    ]
    header = ["method", *(f"{stride} ({comparison.gaps[stride]:.3g} fs)" for stride in strides)]
    caption = (
        f"Frames from anchor to anchor, and the gap; * is the best of a column. The rows are in the order at "
        f"{comparison.trained_stride}, which was trained on."
    )
    return TextTable("MAE [mÅ] of hidden frames at every stride", header, cells, caption)


def accuracy_table(comparison: Comparison, stride: int) -> TextTable:
    """All errors at one stride: of splines, and of the final method of each contestant."""
    rows = _ranked([*comparison.splines, *comparison.finals], stride)
    cells = [[row.name, *(_quantity(row, stride, column) for column in _ACCURACY), _seeds(row, stride)] for row in rows]
    title = (
        f"Stride {stride}, gap {comparison.gaps[stride]:.4g} fs: {comparison.windows[stride]} windows of "
        f"{comparison.source}, {comparison.velocity_source} velocities"
    )
    best = frozenset({0}) if cells else frozenset()
    return TextTable(title, ["method", *_ACCURACY, "seeds"], cells, _ACCURACY_CAPTION, frozenset(), best)


def anchor_table(comparison: Comparison, stride: int) -> TextTable:
    """Forward only, backward only and both directions of every contestant, side by side."""
    cells = []
    for final in _ranked(comparison.finals, stride):
        ways = _directions(comparison, final.label)
        ahead, both = ways["forward"], ways["both"]
        maes = [_mean(row, stride, "mae", 1e3) for row in ways.values()]
        jumps = [_mean(row, stride, "velocity_jump") for row in ways.values()]
        gain = "" if ahead is None or both is None else f"{ahead.mean(stride, 'mae') / both.mean(stride, 'mae'):.1f}x"
        cells.append([final.name, *maes, gain, *jumps])
    header = ["method", *(f"MAE {way}" for way in ("forward", "backward", "both")), "gain"]
    header += [f"jump {way}" for way in ("forward", "backward", "both")]
    title = f"Effect of the second anchor at stride {stride}: MAE [mÅ] and jump of the velocity"
    return TextTable(title, header, cells, _ANCHOR_CAPTION)


def cost_table(comparison: Comparison, stride: int) -> TextTable:
    """Size, training and speed of the final method of every contestant, and of the splines."""
    rows = _ranked([*comparison.splines, *comparison.finals], stride)
    cells = [
        [
            row.name,
            f"{row.parameters}" if row.parameters else "",
            _trained(row),
            _mean(row, stride, "milliseconds_per_frame"),
            f"{row.mean(stride, 'evaluations_per_gap'):.0f}" if row.mean(stride, "evaluations_per_gap") else "",
        ]
        for row in rows
    ]
    header = ["method", "parameters", "training [min]", "ms/frame", "NFE"]
    return TextTable(f"Cost at stride {stride}", header, cells, _COST_CAPTION)


def failures(comparison: Comparison) -> list[str]:
    """A sentence for every contestant that failed, or lacks a seed."""
    reasons = {row.label: row.error for row in comparison.rows if row.error is not None}
    return [f"{label} is incomplete: {reason}" for label, reason in reasons.items()]


def remarks(comparison: Comparison) -> list[str]:
    """What there is to say beside the numbers: failures, and notes."""
    return [*failures(comparison), *comparison.notes]


def terminal_tables(comparison: Comparison) -> list[TextTable]:
    """What the command prints: accuracy at every stride, and the rest at the one that was trained on."""
    stride = comparison.trained_stride
    found = [accuracy_table(comparison, one) for one in comparison.strides]
    found += [anchor_table(comparison, stride), cost_table(comparison, stride)]
    found += [stride_table(comparison)] if len(comparison.strides) > 1 else []
    return [table for table in found if table.rows]


def markdown(comparison: Comparison) -> str:
    """All tables in Markdown: errors over strides, and then accuracy, directions and cost at each stride."""
    tables = [stride_table(comparison)] if len(comparison.strides) > 1 else []
    for stride in sorted(comparison.strides, key=lambda stride: (stride != comparison.trained_stride, stride)):
        tables += [accuracy_table(comparison, stride), anchor_table(comparison, stride), cost_table(comparison, stride)]
    sentences = [f"- {sentence}\n" for sentence in remarks(comparison)]
    return "\n".join([*(table.markdown() for table in tables if table.rows), *sentences])


def _ranked(rows: Sequence[Row], stride: int) -> list[Row]:
    """Those that were scored at a stride, the best first."""
    scored = [row for row in rows if stride in row.scores]
    return sorted(scored, key=lambda row: row.mean(stride, "mae"))


def _directions(comparison: Comparison, label: str) -> dict[str, Row | None]:
    """The rows of a contestant that go forward only, backward only, and see both anchors."""
    rows = [row for row in comparison.rows if row.label == label]
    ends = {"forward": "_forward", "backward": "_backward"}
    found: dict[str, Row | None] = {
        way: next((row for row in rows if row.method.endswith(end)), None) for way, end in ends.items()
    }
    return {**found, "both": next((row for row in rows if not row.method.endswith(tuple(ends.values()))), None)}


def _quantity(row: Row, stride: int, column: str) -> str:
    quantity, unit = _ACCURACY[column]
    mean, spread = mean_and_spread(row.values(stride, quantity))
    if math.isnan(mean):
        return ""
    deviation = f" ± {_digits(unit * spread, 2)}" if spread is not None and quantity in _WITH_SPREAD else ""
    return _digits(unit * mean) + deviation


def _mean(row: Row | None, stride: int, quantity: str, unit: float = 1.0) -> str:
    return "" if row is None or stride not in row.scores else _digits(unit * row.mean(stride, quantity))


def _digits(value: float, count: int = 3) -> str:
    """A number with so many digits, and no exponent where it can be helped."""
    if abs(value) < _ROUNDING:
        return "0"
    if abs(value) >= 10**count:
        return f"{value:.0f}"
    return f"{value:#.{count}g}".rstrip(".")


def _best(text: str, row: Row, stride: int, best: float) -> str:
    return f"{text} *" if stride in row.scores and row.mean(stride, "mae") == best else text


def _seeds(row: Row, stride: int) -> str:
    return "" if row.is_spline else str(len(row.scores[stride]))


def _trained(row: Row) -> str:
    minutes = [value for value in row.training_minutes.values() if not math.isnan(value)]
    return f"{mean_and_spread(minutes)[0]:.1f}" if minutes else ""
