"""Scores of earlier comparisons beside those of a new one, so that nobody trains twice what is known already."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from neuralmd.compare.comparison import Comparison, Row
from neuralmd.compare.scores import Score
from neuralmd.errors import ConfigError

_SAME = 1e-4
"""Part of a spline's error by which it may differ between two comparisons on the same windows, as rounding makes it."""

_SCORE = TypeAdapter(Score)


def read(path: Path) -> Comparison:
    """The comparison that a `comparison.json` tells of.

    Raises:
        ConfigError: If the file is not one.
    """
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(_row(each) for each in told["rows"])
        windows = {int(stride): int(count) for stride, count in told["windows"].items()}
        gaps = {int(stride): float(gap) for stride, gap in told["gap_fs"].items()}
        return Comparison(
            str(told["source"]), windows, gaps, str(told["velocities"]), rows, int(told["trained_stride"])
        )
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ConfigError(
            f"{path}: expected the numbers of an earlier comparison, as `neuralmd compare` writes them into "
            "comparison.json, but this file is something else"
        ) from error


def _row(told: Any) -> Row:
    scores = {
        int(stride): {int(seed): _SCORE.validate_python(one) for seed, one in quantities["seeds"].items()}
        for stride, quantities in told["strides"].items()
    }
    minutes = {int(seed): float(value) for seed, value in told["training_minutes"].items()}
    label, method, family = (str(told[name]) for name in ("contestant", "method", "family"))
    return Row(label, method, family, scores, int(told["parameters"]), minutes, told["error"])


def joined(new: Comparison, earlier: Sequence[tuple[Path, Comparison]]) -> Comparison:
    """A comparison with the contestants of earlier ones, at the strides of the new one.

    A contestant of the same name in both gets the seeds of both; where both have a seed, the new score counts.

    Raises:
        ConfigError: If an earlier comparison was made on other windows, velocities or splines, or its contestant of the
            same name is of another size.
    """
    for path, old in earlier:
        strides = _common_strides(new, old, path)
        rows = {(row.label, row.method): row for row in new.rows}
        added = [row for row in old.rows if not row.is_spline and any(row.scores.get(one) for one in strides)]
        for row in added:
            kept = replace(row, scores={stride: row.scores[stride] for stride in strides if stride in row.scores})
            there = rows.get((row.label, row.method))
            rows[row.label, row.method] = kept if there is None else _with_seeds(there, kept, path)
        names = ", ".join(dict.fromkeys(row.label for row in added))
        note = f"{names}: scores of {path}, their times on the machine of that comparison"
        new = replace(new, rows=tuple(rows.values()), notes=(*new.notes, *([note] if added else [])))
    return new


def _with_seeds(new: Row, old: Row, path: Path) -> Row:
    if new.parameters != old.parameters or new.family != old.family:
        raise ConfigError(
            f"{path}: its {old.label} is a {old.family} of {old.parameters} weights, but the one here is a "
            f"{new.family} of {new.parameters}: give one of them another run.name"
        )
    strides = new.scores.keys() | old.scores.keys()
    scores = {one: {**old.scores.get(one, {}), **new.scores.get(one, {})} for one in sorted(strides)}
    return replace(new, scores=scores, training_minutes={**old.training_minutes, **new.training_minutes})


def _common_strides(new: Comparison, old: Comparison, path: Path) -> list[int]:
    """The strides that both have; raises ConfigError unless they were scored on the same windows there."""
    if new.velocity_source != old.velocity_source:
        raise ConfigError(
            f"{path}: has {old.velocity_source} velocities, but {new.source} has {new.velocity_source} ones"
        )
    strides = [stride for stride in new.strides if stride in old.windows]
    if not strides:
        raise ConfigError(f"{path}: has the strides {_listed(old.strides)}, but none of {_listed(new.strides)}")
    for stride in strides:
        if (new.windows[stride], new.gaps[stride]) != (old.windows[stride], old.gaps[stride]):
            raise ConfigError(
                f"{path}: has {old.windows[stride]} windows of stride {stride}, gap {old.gaps[stride]:g} fs, but "
                f"{new.source} has {new.windows[stride]}, gap {new.gaps[stride]:g} fs: they are not of the same data"
            )
        _require_same_splines(new, old, stride, path)
    return strides


def _require_same_splines(new: Comparison, old: Comparison, stride: int, path: Path) -> None:
    """Raise ConfigError unless the splines, which nobody trains, have the same errors: then the frames are the same."""
    known = {row.method: row.mean(stride, "mae") for row in old.splines if stride in row.scores}
    for row in new.splines:
        if row.method not in known or stride not in row.scores:
            continue
        here, there = row.mean(stride, "mae"), known[row.method]
        if not math.isclose(here, there, rel_tol=_SAME):
            raise ConfigError(
                f"{path}: was scored on other frames than {new.source}: the error of {row.name} at stride {stride} is "
                f"{there:.4e} A there and {here:.4e} A here"
            )


def _listed(strides: Sequence[int]) -> str:
    return ", ".join(map(str, strides))
