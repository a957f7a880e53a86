"""What a training measures on its validation part."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from neuralmd.build.dataset import Dataset
from neuralmd.data.windows import spread
from neuralmd.evaluation.forces import force_errors
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.fields.tabulated import tabulate
from neuralmd.interpolators.bidirectional import BidirectionalODE

_WINDOWS = 64
_FRAMES = 64


@dataclass(frozen=True, eq=False)
class Validation:
    """The hidden-frame error of a model on the validation part, and that of its forces where the file has forces.

    Attributes:
        data: The data.
        stride: Frames from anchor to anchor.
        margin: Frames beyond each anchor that the model reads.
    """

    data: Dataset
    stride: int
    margin: int

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        """The errors, by the names that the run's metrics have: of positions [A] and of forces [eV/A].

        They are those of the model as a loaded run has it, with tables and, where numba is there, machine code.
        """
        model = deepcopy(model).eval()
        tabulate(model)
        frames, part = self.data.frames, self.data.split.validation
        windows = spread(part.starts(self.stride, self.stride, self.margin), _WINDOWS)
        errors = hidden_frame_errors(model, frames, windows, self.stride)  # pyright: ignore[reportArgumentType]
        measured = {"validation/mae_A": errors.mae, "validation/rmse_A": errors.rmse}
        if isinstance(model, BidirectionalODE) and frames.accelerations is not None:
            every = torch.cat([torch.arange(stretch.start, stretch.stop) for stretch in part.ranges])
            forces = force_errors(model.field, frames, spread(every, _FRAMES).to(frames.positions.device))
            measured |= {"validation/force_mae_eV_A": forces.mae, "validation/force_rmse_eV_A": forces.rmse}
        return measured
