"""Settings of the recurrent networks, the baselines of the field."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from neuralmd.config.block import Block
from neuralmd.config.model import BlendConfig, LinearBlendConfig


class RecurrentConfig(Block):
    """A recurrent network that predicts the change of positions and velocities, step by step."""

    kind: Literal["recurrent"] = "recurrent"

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    """Kind of the layers."""

    direction: Literal["forward", "bidirectional", "whole_gap"] = "bidirectional"
    """`forward` starts at the first anchor and never sees the second, `bidirectional` starts at both and blends,
    `whole_gap` reads the whole gap both ways and corrects the cubic Hermite spline."""

    width: int = Field(default=256, ge=1)
    """Hidden units of each layer."""

    depth: int = Field(default=2, ge=1)
    """Layers."""

    boundary_frames: int = Field(default=1, ge=1)
    """Consecutive fine frames that it reads at each anchor; a coarse file has but one."""

    orientation: Literal["lab", "body"] = "lab"
    """Axes that it sees a molecule in: the file's, or the molecule's own."""

    blend: BlendConfig = LinearBlendConfig()
    """The weight of the backward solution; only for `bidirectional`."""
