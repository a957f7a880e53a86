"""How a report says things: names of methods, lengths, and formulas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup, escape

from neuralmd.evaluation.methods import NEURAL_ODE
from neuralmd.report.style import STYLES

_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "linear": ("straight line", "positions of both known frames"),
    "cubic_spline": ("cubic spline", "positions of the known frames around the gap"),
    "cubic_hermite": ("cubic Hermite spline", "positions and velocities of both known frames"),
    "quintic_hermite": ("quintic Hermite spline", "positions, velocities and forces of both known frames"),
    "neural_ode_forward": ("neural ODE, forward only", "first known frame and the learned field"),
    "neural_ode_backward": ("neural ODE, backward only", "second known frame and the learned field"),
    NEURAL_ODE: ("neural ODE", "both known frames and the learned field"),
}
"""What a method is called, and what it knows."""


def label_of(method: str) -> str:
    """What a reader calls a method."""
    if method in _NAMES:
        return _NAMES[method][0]
    return STYLES[method].label if method in STYLES else method


def knows(method: str) -> str:
    """What a method looks at; nothing for one of which that is not said."""
    return _NAMES[method][1] if method in _NAMES else ""


def length(angstrom: float) -> str:
    """A length with its unit: milliangstrom for errors, angstrom from a tenth on."""
    return f"{angstrom:.2f} Å" if angstrom >= 0.09995 else f"{milli(angstrom)} mÅ"


def milli(angstrom: float) -> str:
    """A length [mA] to three digits, without an exponent."""
    value = 1e3 * angstrom
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"


def formula(text: str) -> Markup:
    """A chemical formula with its numbers below the line."""
    # The text is escaped first: what is put around the digits is all that is markup.
    return Markup(re.sub(r"(?<=[A-Za-z)])(\d+)", r"<sub>\1</sub>", str(escape(text))))  # noqa: S704
