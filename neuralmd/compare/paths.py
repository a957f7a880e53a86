"""Which methods the figures of paths show, with the models of the contestants' first trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from neuralmd.compare.comparison import Comparison, Row
from neuralmd.compare.contest import Contestant
from neuralmd.compare.figures import styles_of_rows
from neuralmd.compare.path_figures import ShownMethod
from neuralmd.errors import NeuralMDError
from neuralmd.evaluation.methods import directions, splines
from neuralmd.interpolators.base import Interpolator
from neuralmd.runs import load_run

_CELLS: Final = ("lstm", "gru", "rnn")
_ORACLE: Final = "calculator"

Directions = Mapping[str, Mapping[str, Interpolator]]
"""The directions of each contestant's first model, by its label and the method's name."""


def first_models(contestants: Sequence[Contestant]) -> dict[str, dict[str, Interpolator]]:
    """The directions of every contestant whose first training can be used, by label and method."""
    found = {}
    for contestant in contestants:
        try:
            found[contestant.label] = directions(load_run(contestant.members[0].folder).model)
        except NeuralMDError:
            continue
    return found


def all_methods(comparison: Comparison, models: Directions) -> list[ShownMethod]:
    """The best spline and the final method of every contestant, the worst first."""
    stride, styles = comparison.trained_stride, styles_of_rows(comparison.shown)
    rows = [row for row in comparison.shown if row.is_spline or row.method in models.get(row.label, {})]
    rows = sorted(rows, key=lambda row: -row.mean(stride, "mae"))
    return [ShownMethod(_method(row, models), styles[row.name]) for row in rows]


def one_anchor_and_both(comparison: Comparison, models: Directions) -> list[ShownMethod]:
    """What the second anchor does: a network that sees the first one only, its like that sees both, the best of all.

    The first two are the best of the recurrent networks, LSTM before GRU before RNN; of a comparison of neural ODEs
    alone, they are the best one's two directions. Empty where nothing goes forward only. The best of all is a model
    that was trained, so no oracle.
    """
    stride, styles = comparison.trained_stride, styles_of_rows(comparison.shown)
    usable = [row for row in comparison.rows if row.method in models.get(row.label, {}) and stride in row.scores]
    usable = [row for row in usable if row.family != _ORACLE] or usable
    finals = [row for row in comparison.finals if row in usable]
    ahead = [row for row in usable if row.method.endswith("_forward")]
    if not ahead or not finals:
        return []
    kind = next((cell for cell in _CELLS if any(row.method == f"{cell}_forward" for row in ahead)), None)
    forward = _best([row for row in ahead if kind is None or row.method == f"{kind}_forward"], stride)
    best = _best(finals, stride)
    like = [row for row in finals if row.method == kind]
    both = _best(like, stride) if like else best
    labels = {
        f"{row.name} ({'one anchor' if row is forward else 'both anchors'})": row for row in (forward, both, best)
    }
    return [ShownMethod(_method(row, models), replace(styles[row.name], label=label)) for label, row in labels.items()]


def _best(rows: Sequence[Row], stride: int) -> Row:
    return min(rows, key=lambda row: row.mean(stride, "mae"))


def _method(row: Row, models: Directions) -> Interpolator:
    return splines()[row.method] if row.is_spline else models[row.label][row.method]
