"""The recurrent networks themselves: which cell, how wide, how deep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.errors import ConfigError

State = Tensor | tuple[Tensor, Tensor] | None
"""What one layer remembers: h, or (h, c) for an LSTM; none before the first step."""


class Cell(StrEnum):
    """The kinds of recurrent layers."""

    RNN = "rnn"
    GRU = "gru"
    LSTM = "lstm"


@dataclass(frozen=True)
class Architecture:
    """The size of a recurrent network.

    Attributes:
        cell: Kind of the layers.
        width: Hidden units of each layer.
        depth: Layers, one above the other.

    Raises:
        ConfigError: If the width or the depth is below 1.
    """

    cell: Cell = Cell.LSTM
    width: int = 256
    depth: int = 2

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 1:
            raise ConfigError(
                f"a recurrent network needs a width and a depth of at least 1, but has {self.width} and {self.depth}"
            )


class StackedCells(nn.Module):
    """Layers of cells that read one step at a time, because their next input is made of their output.

    Args:
        inputs: Features of an input.
        architecture: Kind, width and depth.
    """

    def __init__(self, inputs: int, architecture: Architecture) -> None:
        super().__init__()
        sizes = [inputs] + [architecture.width] * (architecture.depth - 1)
        self.layers = nn.ModuleList(_cell(architecture.cell, size, architecture.width) for size in sizes)

    def blank(self) -> list[State]:
        """The memory before the first step."""
        return [None] * len(self.layers)

    def forward(
        self, inputs: Float[Tensor, "batch features"], memory: Sequence[State]
    ) -> tuple[Float[Tensor, "batch width"], list[State]]:
        """The last layer's output after one more step, and the new memory of all layers."""
        renewed: list[State] = []
        for layer, state in zip(self.layers, memory, strict=True):
            new = layer(inputs, state)
            inputs = new[0] if isinstance(new, tuple) else new
            renewed.append(new)
        return inputs, renewed


def both_ways(inputs: int, architecture: Architecture) -> nn.RNN | nn.GRU | nn.LSTM:
    """A network that reads a whole sequence in both directions; its output is twice as wide."""
    width, depth = architecture.width, architecture.depth
    match architecture.cell:
        case Cell.RNN:
            return nn.RNN(inputs, width, depth, bidirectional=True)
        case Cell.GRU:
            return nn.GRU(inputs, width, depth, bidirectional=True)
        case Cell.LSTM:
            return nn.LSTM(inputs, width, depth, bidirectional=True)


def _cell(cell: Cell, inputs: int, width: int) -> nn.RNNCell | nn.GRUCell | nn.LSTMCell:
    match cell:
        case Cell.RNN:
            return nn.RNNCell(inputs, width)
        case Cell.GRU:
            return nn.GRUCell(inputs, width)
        case Cell.LSTM:
            return nn.LSTMCell(inputs, width)
