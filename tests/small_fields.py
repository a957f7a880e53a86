"""Fields that learn, with fresh weights and small networks, on three hydrogen atoms, for `analytic.triangle`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from neuralmd.fields.base import Field
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.dense import DenseSettings
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.friction import FrictionField
from neuralmd.fields.hamiltonian import HamiltonianField
from neuralmd.fields.mlp import MLPField
from neuralmd.fields.statistics import MotionStatistics
from neuralmd.fields.velocity_dependent import VelocityDependentField
from neuralmd.system import System

HYDROGENS = System.from_atomic_numbers([1, 1, 1])
DENSE = DenseSettings(width=16, depth=2)
CORNERS = torch.tensor([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [0.6, 1.04, 0.0]])


def motion() -> MotionStatistics:
    """Of a gentle motion around the triangle."""
    same = torch.ones(3)
    return MotionStatistics(CORNERS - CORNERS.mean(0), 0.1 * same, 0.05 * same, 0.005 * same)


def ready(field: Field, dtype: torch.dtype) -> Field:
    field.calibrate(motion())
    return field.to(dtype)


def conservative(dtype: torch.dtype = torch.float64, layers: int = 1) -> ConservativeField:
    torch.manual_seed(0)
    field = ConservativeField(HYDROGENS, channels=4, l_max=1, layers=layers)
    ready(field, dtype)
    return field


def velocity_dependent(dtype: torch.dtype = torch.float64) -> Field:
    torch.manual_seed(0)
    return ready(VelocityDependentField(HYDROGENS, channels=4, l_max=1, layers=1), dtype)


def friction(dtype: torch.dtype = torch.float64, sign: Literal["positive", "any"] = "positive") -> FrictionField:
    torch.manual_seed(0)
    field = FrictionField(EquivariantField(HYDROGENS, channels=4, l_max=1, layers=1), HYDROGENS, sign)
    ready(field, dtype)
    return field


def ensemble(dtype: torch.dtype = torch.float64) -> EnsembleField:
    torch.manual_seed(0)
    field = EnsembleField([EquivariantField(HYDROGENS, channels=4, l_max=1, layers=1) for _ in range(2)])
    ready(field, dtype)
    return field


def mlp(dtype: torch.dtype = torch.float64, inputs: Literal["phase_space", "positions"] = "phase_space") -> Field:
    torch.manual_seed(0)
    return ready(MLPField(HYDROGENS, DENSE, inputs), dtype)


def hamiltonian(
    dtype: torch.dtype = torch.float64, kinetic: Literal["learned", "exact"] = "learned"
) -> HamiltonianField:
    torch.manual_seed(0)
    field = HamiltonianField(HYDROGENS, DENSE, kinetic)
    with torch.no_grad():  # fresh weights make next to no motion
        field.network.last.weight *= 20.0
    ready(field, dtype)
    return field


LEARNED: dict[str, Callable[[torch.dtype], Field]] = {
    "conservative": conservative,
    "velocity dependent": velocity_dependent,
    "with friction": friction,
    "ensemble": ensemble,
    "MLP": mlp,
    "Hamiltonian": hamiltonian,
}
