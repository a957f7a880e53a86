"""`Separately`: several models that learn side by side, each from batches of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.errors import ConfigError
from neuralmd.training.objectives import ALL, Objective


class Separately(Objective[tuple[Any, ...]]):
    """The mean of several objectives, as for the members of an ensemble (`EnsembleField`).

    L = 1/M sum_m L_m(theta_m; B_m)

    Each has weights theta_m and a batch B_m of its own, so that its gradient is 1/M of what it would be alone, which
    an optimizer like Adam does not notice.

    Args:
        objectives: What each minimises; all have batches of the same size.

    Raises:
        ConfigError: If there is none, or if their batches differ in size.
    """

    def __init__(self, objectives: Sequence[Objective[Any]]) -> None:
        super().__init__()
        sizes = {one.batch_size for one in objectives}
        if len(sizes) != 1:
            raise ConfigError(
                f"models that learn side by side need batches of one size, but have {len(sizes)}: {sorted(sizes)}"
            )
        self.batch_size = sizes.pop()
        self.objectives = nn.ModuleList(objectives)

    @override
    def draw(self, generator: torch.Generator, progress: float) -> tuple[Any, ...]:
        return tuple(one.draw(generator, progress) for one in self._each())

    @override
    def forward(self, batch: tuple[Any, ...], rows: slice = ALL) -> Float[Tensor, ""]:
        losses = [one(part, rows) for one, part in zip(self._each(), batch, strict=True)]
        return torch.stack(losses).mean()

    def _each(self) -> list[Objective[Any]]:
        return [one for one in self.objectives if isinstance(one, Objective)]
