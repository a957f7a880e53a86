"""The numbers of a comparison, with all digits: CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from typing import Final

from neuralmd.compare.comparison import Comparison, Row, mean_and_spread

_QUANTITIES: Final = (
    "mae",
    "rmse",
    "energy_error",
    "spectrum_difference",
    "velocity_jump",
    "second_difference_ratio",
    "position_jump",
    "milliseconds_per_frame",
    "evaluations_per_gap",
)


def csv_text(comparison: Comparison) -> str:
    """One line for every method, stride and seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["contestant", "method", "stride", "gap_fs", "seed", *_QUANTITIES, "parameters", "training_minutes"]
    )
    for row in comparison.rows:
        for stride, by_seed in sorted(row.scores.items()):
            for seed, one in by_seed.items():
                values = asdict(one)
                minutes = row.training_minutes.get(seed, "")
                gap = comparison.gaps[stride]
                numbers = [values[name] for name in _QUANTITIES]
                writer.writerow([row.label, row.method, stride, gap, seed, *numbers, row.parameters, minutes])
    return text.getvalue()


def to_dict(comparison: Comparison) -> dict[str, object]:
    """Plain values for JSON: mean and spread of every quantity, and the values by seed."""
    return {
        "source": comparison.source,
        "velocities": comparison.velocity_source,
        "trained_stride": comparison.trained_stride,
        "windows": {str(stride): count for stride, count in comparison.windows.items()},
        "gap_fs": {str(stride): gap for stride, gap in comparison.gaps.items()},
        "rows": [_row_dict(row) for row in comparison.rows],
    }


def _row_dict(row: Row) -> dict[str, object]:
    strides: dict[str, object] = {}
    for stride, by_seed in row.scores.items():
        quantities: dict[str, object] = {}
        for quantity in _QUANTITIES:
            mean, spread = mean_and_spread(row.values(stride, quantity))
            quantities[quantity] = {"mean": None if math.isnan(mean) else mean, "spread": spread}
        strides[str(stride)] = quantities | {"seeds": {str(seed): asdict(one) for seed, one in by_seed.items()}}
    return {
        "contestant": row.label,
        "method": row.method,
        "family": row.family,
        "parameters": row.parameters,
        "training_minutes": {str(seed): minutes for seed, minutes in row.training_minutes.items()},
        "strides": strides,
        "error": row.error,
    }
