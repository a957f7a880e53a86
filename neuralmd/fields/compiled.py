"""`CompiledNetwork`: the network of a trained field as machine code, where numba is installed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import nn

from neuralmd.fields.packed import Packed, pack
from neuralmd.fields.radial import RadialNetworks
from neuralmd.fields.radial_table import RadialTable
from neuralmd.fields.tensor_product import Coupling, Features
from neuralmd.system import Positions

_WORTH_A_THREAD = 4096
"""Pairs of atoms that take longer than a thread takes to start."""


class CompiledNetwork:
    """Evaluate an `EquivariantNetwork` by compiled code, with the same result but for rounding.

    It serves where numbers are all that is wanted of a network of all pairs whose radial functions are tabulated: on a
    processor, and without gradients. The weights are taken over when they are first needed, and again when the table
    is made anew; the table is also how weights that were changed in the meantime are noticed.

    The code is compiled when it is first run, in some ten seconds, and kept for later processes.
    """

    def __init__(self, evaluate: Callable[..., Any]) -> None:
        self._evaluate = evaluate
        self._packed: dict[torch.dtype, tuple[RadialTable | None, Packed]] = {}

    @staticmethod
    def if_installed() -> CompiledNetwork | None:
        """One that has evaluated nothing yet; none where numba is not installed."""
        try:
            from neuralmd.fields.compiled_kernel import evaluate
        except ImportError:
            return None
        return CompiledNetwork(evaluate)

    def __deepcopy__(self, _memo: object) -> CompiledNetwork:
        return CompiledNetwork(self._evaluate)

    def takes(self, radials: RadialNetworks, positions: Positions, features: Features) -> bool:
        """Whether it can stand in for the network of these radial functions here."""
        if radials.table is None:
            return False
        every, dtype = (positions, *features), radials.networks[0].pair.dtype
        wanted = torch.is_grad_enabled() and any(each.requires_grad for each in every)
        same = all(each.device.type == "cpu" and each.dtype == dtype for each in every)
        return same and not wanted and dtype in {torch.float32, torch.float64}

    def __call__(
        self,
        layers: nn.ModuleList,
        radials: RadialNetworks,
        coupling: Coupling,
        positions: Positions,
        features: Features,
    ) -> Features:
        """The features of all atoms after the last interaction."""
        dtype, table = positions.dtype, radials.table
        known = self._packed.get(dtype)
        if known is None or known[0] is not table:
            known = (table, pack(layers, radials, coupling, dtype))
            self._packed[dtype] = known
        here = np.ascontiguousarray(positions.detach().numpy())
        inputs = torch.cat(features, dim=1).detach().contiguous().numpy()
        highest = int(known[1].shape.layers[-1, 5])
        found = positions.new_empty((len(here), (highest + 1) ** 2, *inputs.shape[2:]))
        self._share_out(here, inputs, found.numpy(), known[1])
        return list(found.split([2 * degree + 1 for degree in range(highest + 1)], dim=1))

    def _share_out(
        self,
        positions: Float[ndarray, "batch atoms 3"],
        inputs: Float[ndarray, "batch _ atoms channels"],
        outputs: Float[ndarray, "batch _ atoms channels"],
        packed: Packed,
    ) -> None:
        """Evaluate, each of torch's threads a part of the batch where that is worth it."""
        batch, atoms = positions.shape[:2]
        threads = min(torch.get_num_threads(), batch * atoms**2 // _WORTH_A_THREAD)
        if threads < 2:
            self._evaluate(positions, inputs, outputs, *packed)
            return
        ends = np.linspace(0, batch, threads + 1).astype(int)
        parts = [slice(first, last) for first, last in pairwise(ends)]
        # Made for each call, since threads that wait do not outlive a fork.
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: self._evaluate(positions[part], inputs[part], outputs[part], *packed), parts))
