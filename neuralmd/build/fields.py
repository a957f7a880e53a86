"""From the configuration of a field to the field."""

from __future__ import annotations

from typing import assert_never

from neuralmd.config import (
    CalculatorFieldConfig,
    ConservativeFieldConfig,
    EnsembleFieldConfig,
    EquivariantFieldConfig,
    FieldConfig,
    FrictionFieldConfig,
    HamiltonianFieldConfig,
    MLPFieldConfig,
    VelocityDependentFieldConfig,
)
from neuralmd.fields.base import Field
from neuralmd.fields.conservative import ConservativeField
from neuralmd.fields.dense import DenseSettings
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.friction import FrictionField
from neuralmd.fields.hamiltonian import HamiltonianField
from neuralmd.fields.mlp import MLPField
from neuralmd.fields.network import MessageSettings
from neuralmd.fields.radial import RadialKind, RadialSettings
from neuralmd.fields.velocity_dependent import VelocityDependentField
from neuralmd.system import System


def field(config: FieldConfig, system: System) -> Field:
    """The field that a configuration describes, with fresh weights where it has any.

    Raises:
        DataError: If the field does not take the system, or its calculator is not installed.
    """
    match config:
        case EquivariantFieldConfig() | ConservativeFieldConfig() | VelocityDependentFieldConfig():
            return _equivariant(config, system)
        case FrictionFieldConfig():
            return FrictionField(_equivariant(config.field, system), system, config.sign)
        case EnsembleFieldConfig():
            return EnsembleField([_equivariant(config.field, system) for _ in range(config.members)])
        case MLPFieldConfig():
            return MLPField(system, DenseSettings(config.width, config.depth), config.inputs)
        case HamiltonianFieldConfig():
            return HamiltonianField(system, DenseSettings(config.width, config.depth), config.kinetic)
        case CalculatorFieldConfig():
            from neuralmd.fields.calculator import CalculatorField

            return CalculatorField.xtb(system, config.method)
        case _:
            assert_never(config)


def _equivariant(
    config: EquivariantFieldConfig | ConservativeFieldConfig | VelocityDependentFieldConfig, system: System
) -> Field:
    size = (config.channels, config.l_max, config.layers, config.cutoff)
    radial = RadialSettings(config.radial_basis, config.radial_width, RadialKind(config.radial_kind))
    messages = MessageSettings(radial, config.correlation)
    match config:
        case EquivariantFieldConfig():
            made = EquivariantField(system, *size, messages, zero_net_force=config.zero_net_force)
        case ConservativeFieldConfig():
            made = ConservativeField(system, *size, messages)
        case VelocityDependentFieldConfig():
            made = VelocityDependentField(system, *size, messages, zero_net_force=config.zero_net_force)
        case _:
            assert_never(config)
    if config.neighbours != "auto":
        made.network.use(config.neighbours)
    return made
