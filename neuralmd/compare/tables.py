"""A comparison as a table: for the terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from neuralmd.compare.comparison import Comparison, Row, mean_and_spread

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = {
    "MAE [A]": ("mae", "{:.2e}"),
    "RMSE [A]": ("rmse", "{:.2e}"),
    "energy [meV]": ("energy_error", "{:.2g}"),
    "spectrum": ("spectrum_difference", "{:.3f}"),
    "velocity jump": ("velocity_jump", "{:.1e}"),
    "2nd difference": ("second_difference_ratio", "{:.2f}"),
    "position jump [A]": ("position_jump", "{:.1e}"),
    "ms/frame": ("milliseconds_per_frame", "{:.2g}"),
    "NFE": ("evaluations_per_gap", "{:.0f}"),
}
"""Column -> quantity of the score, and how it is written."""

_IN_TERMINAL = ("MAE [A]", "energy [meV]", "spectrum", "velocity jump", "ms/frame", "NFE")


def cells(comparison: Comparison, stride: int) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table at one stride, best last of each kind left in the order of entry."""
    header = ["method", *_COLUMNS, "parameters", "training [min]", "seeds"]
    return header, [_cells(row, stride) for row in comparison.rows if stride in row.scores or row.error]


def markdown(comparison: Comparison) -> str:
    """The tables of all strides in Markdown."""
    parts = []
    for stride in comparison.strides:
        header, rows = cells(comparison, stride)
        lines = [f"### {_title(comparison, stride)}", "", "| " + " | ".join(header) + " |"]
        lines.append("|---" + "|---:" * (len(header) - 1) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def rich_table(comparison: Comparison, stride: int) -> Table:
    """The table of one stride for the terminal: the columns that fit, with the spread of the MAE only."""
    from rich import box
    from rich.table import Table

    table = Table(title=_title(comparison, stride), box=box.SIMPLE_HEAD)
    table.add_column("method", no_wrap=True)
    for name in (*_IN_TERMINAL, "minutes", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparison.rows:
        if stride not in row.scores and not row.error:
            continue
        name, *measured, _, minutes, seeds = _cells(row, stride)
        shown = dict(zip(_COLUMNS, measured, strict=True))
        means = [shown[column].partition(" ±")[0] if column != "MAE [A]" else shown[column] for column in _IN_TERMINAL]
        table.add_row(name, *means, minutes, seeds)
    return table


def csv_text(comparison: Comparison) -> str:
    """One line for every method, stride and seed, with all digits."""
    text = io.StringIO()
    names = [quantity for quantity, _ in _COLUMNS.values()]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["contestant", "method", "stride", "gap_fs", "seed", *names, "parameters", "training_minutes"])
    for row in comparison.rows:
        for stride, by_seed in sorted(row.scores.items()):
            for seed, one in by_seed.items():
                values = asdict(one)
                minutes = row.training_minutes.get(seed, "")
                gap = comparison.gaps[stride]
                numbers = [values[name] for name in names]
                writer.writerow([row.label, row.method, stride, gap, seed, *numbers, row.parameters, minutes])
    return text.getvalue()


def to_dict(comparison: Comparison) -> dict[str, object]:
    """Plain values for JSON: mean and spread of every quantity, and the values by seed."""
    return {
        "source": comparison.source,
        "velocities": comparison.velocity_source,
        "windows": {str(stride): count for stride, count in comparison.windows.items()},
        "gap_fs": {str(stride): gap for stride, gap in comparison.gaps.items()},
        "rows": [_row_dict(row) for row in comparison.rows],
    }


def _row_dict(row: Row) -> dict[str, object]:
    strides: dict[str, object] = {}
    for stride, by_seed in row.scores.items():
        quantities: dict[str, object] = {}
        for quantity, _ in _COLUMNS.values():
            mean, spread = mean_and_spread(row.values(stride, quantity))
            quantities[quantity] = {"mean": None if math.isnan(mean) else mean, "spread": spread}
        strides[str(stride)] = quantities | {"seeds": {str(seed): asdict(one) for seed, one in by_seed.items()}}
    return {
        "contestant": row.label,
        "method": row.method,
        "parameters": row.parameters,
        "training_minutes": {str(seed): minutes for seed, minutes in row.training_minutes.items()},
        "strides": strides,
        "error": row.error,
    }


def _title(comparison: Comparison, stride: int) -> str:
    return (
        f"Stride {stride}, gap {comparison.gaps[stride]:.4g} fs: {comparison.windows[stride]} windows of "
        f"{comparison.source}, {comparison.velocity_source} velocities"
    )


def _cells(row: Row, stride: int) -> list[str]:
    minutes = [value for value in row.training_minutes.values() if not math.isnan(value)]
    trained = f"{mean_and_spread(minutes)[0]:.1f}" if minutes else ""
    name = row.name if row.error is None else f"{row.name} (failed: {row.error})"
    measured = [_number(row.values(stride, quantity), style) for quantity, style in _COLUMNS.values()]
    parameters = str(row.parameters) if row.parameters else ""
    return [name, *measured, parameters, trained, str(len(row.scores.get(stride, {})))]


def _number(values: list[float], style: str) -> str:
    mean, spread = mean_and_spread(values)
    if math.isnan(mean):
        return ""
    return style.format(mean) if spread is None else f"{style.format(mean)} ± {style.format(spread)}"
