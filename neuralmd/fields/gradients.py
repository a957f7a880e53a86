"""Gradients of an energy, for fields that are one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Energy = Callable[..., Float[Tensor, " batch"]]
"""The energy of each configuration, from the tensors that it depends on."""


def gradients(energy: Energy, inputs: tuple[Tensor, ...], owner: nn.Module) -> tuple[Tensor, ...]:
    """dE/dq for each input q, of the shape of the input.

    Works where autograd is off: under `no_grad`, and inside the forward pass of torchdiffeq's adjoint. What comes out
    can be differentiated again only if autograd is on and an input or a weight wants it, since a graph of the gradient
    doubles the memory.

    Args:
        energy: E.
        inputs: Where to take the gradients.
        owner: The module whose weights E depends on.
    """
    again = torch.is_grad_enabled() and (
        any(each.requires_grad for each in inputs) or any(weight.requires_grad for weight in owner.parameters())
    )
    with torch.enable_grad():
        variables = [each if again and each.requires_grad else each.detach().requires_grad_() for each in inputs]
        return torch.autograd.grad(energy(*variables).sum(), variables, create_graph=again)
