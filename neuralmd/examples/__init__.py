"""A short trajectory and small trained models that come with neuralmd, so that the notebooks run anywhere.

All of it is neuralmd's own work: `make notebook-model` makes it anew.

| name | what |
|---|---|
| benzene | 2000 frames of benzene, GFN2-xTB, 500 K, dt 0.5 fs, that no model here was trained on |
| neural-ode | a neural ODE, ten minutes of training on an earlier part of the same simulation |
| lstm | a bidirectional LSTM, the same data and ten minutes; its weights are kept in half precision |
| comparison | the folder that `neuralmd compare` wrote about both and others, and the learning curves of both |
| sweep | the ranking that `neuralmd sweep-report` wrote about a sweep over both, and its learning curves |
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from neuralmd.errors import DataError

FILES: Final = {
    "benzene": "benzene.npz",
    "neural-ode": "neural-ode.pt",
    "lstm": "lstm.pt",
    "comparison": "comparison",
    "sweep": "sweep",
}
"""The files by name."""


def example(name: str) -> Path:
    """Where an example that comes with neuralmd is: `nmd.read`, `nmd.load` and `nmd.rebuild` take it.

    Args:
        name: benzene, neural-ode, lstm, comparison or sweep.

    Raises:
        DataError: If there is none of that name.
    """
    if name not in FILES:
        raise DataError(f"there is no example {name!r}; there are {', '.join(FILES)}")
    return Path(__file__).parent / FILES[name]
