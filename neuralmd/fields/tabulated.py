"""Trained fields made cheaper for use: the same accelerations, from tables and, where numba is there, machine code."""

from __future__ import annotations

from torch import nn

from neuralmd.fields.compiled import CompiledNetwork
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.velocity_dependent import VelocityDependentField


def tabulate(model: nn.Module) -> None:
    """Let every equivariant field in a trained model read its radial functions from tables from now on.

    The radial part of a message is a function of one distance for each pair of elements. Where weights no longer
    change, it need not be computed by a network for each pair of atoms anew. Where numba is installed
    (`neuralmd[fast]`), a small molecule's accelerations are then computed by machine code, unless gradients are wanted.

    The accelerations change by some 1e-7 of their size, and can be differentiated once by positions. A checkpoint that
    is loaded later is tabulated anew, and `train()` drops the tables; weights that are changed by hand are not noticed.
    An energy (`ConservativeField`) is left as it is: its forces are derivatives already.

    Args:
        model: A field, or what has fields in it.
    """
    for module in model.modules():
        if isinstance(module, EquivariantField | VelocityDependentField):
            module.network.radials.tabulate()
            module.network.compiled = CompiledNetwork.if_installed()
