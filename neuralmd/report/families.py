"""The line of each model: every family has a colour of its own, the same in all figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from neuralmd.config import Experiment
from neuralmd.config.recurrent import RecurrentConfig
from neuralmd.evaluation.methods import splines
from neuralmd.report.style import STYLES, Style

_DOTTED: Final = (0, (1.2, 1.2))
_DASHED: Final = (0, (4, 1.5))

FAMILIES: Final = {
    "coarse": Style("coarse", "0.25", width=1.0, dashes=(0, (1, 1))),
    **{name: replace(STYLES[name], dashes=_DOTTED, width=1.5) for name in splines()},
    "equivariant": Style("equivariant", "#004488", width=2.4),
    "conservative": Style("energy-conserving", "#66a3d2", width=1.6),
    "velocity_dependent": Style("f(x, v)", "#33bbee", width=1.6),
    "friction": Style("friction", "#009988", width=1.6),
    "mlp": Style("MLP", "#ee7733", width=1.6),
    "hamiltonian": Style("Hamiltonian network", "#ccbb00", width=1.6),
    "calculator": Style("oracle", "#000000", width=1.6, dashes=_DASHED),
    "rnn": Style("RNN", "#aa7744", width=1.6),
    "gru": Style("GRU", "#117733", width=1.6),
    "lstm": Style("LSTM", "#882255", width=2.0),
    "rnn_forward": Style("RNN forward only", "#aa7744", width=1.6, dashes=_DASHED),
    "gru_forward": Style("GRU forward only", "#117733", width=1.6, dashes=_DASHED),
    "lstm_forward": Style("LSTM forward only", "#882255", width=1.6, dashes=_DASHED),
    "rnn_whole_gap": Style("RNN over the whole gap", "#dd9988", width=1.6),
    "gru_whole_gap": Style("GRU over the whole gap", "#55aa55", width=1.6),
    "lstm_whole_gap": Style("LSTM over the whole gap", "#cc77aa", width=1.6),
}
"""The lines of the families of models, of the splines, and of coarse files."""

_OTHERS: Final = ("#5566cc", "#bb3322", "#77aa11", "#885599", "#777777", "#cc9911", "#118899")
"""For what has no family, or not the first model of its family."""


def family_of(experiment: Experiment) -> str:
    """The family of an experiment's model: its field, or its recurrent cell and direction."""
    model = experiment.model
    if isinstance(model, RecurrentConfig):
        return model.cell if model.direction == "bidirectional" else f"{model.cell}_{model.direction}"
    return model.field.kind


def family_styles(families: Mapping[str, str | None]) -> dict[str, Style]:
    """The line of each model, or file: its family's for the first of a family, a free colour for the others.

    Args:
        families: The family by the name that the legend shows; none for what has none.
    """
    styles, seen = {}, set()
    for name, family in families.items():
        others = len(styles) - len(seen)
        if family in FAMILIES and family not in seen:
            seen.add(family)
            label = FAMILIES[family].label if name == family and family in splines() else name
            styles[name] = replace(FAMILIES[family], label=label)
        else:
            styles[name] = Style(name, _OTHERS[others % len(_OTHERS)], width=1.6)
    return styles
