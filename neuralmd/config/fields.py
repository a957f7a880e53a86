"""Settings of the fields: f_theta, the right-hand side of the neural ODE."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from neuralmd.config.block import Block


class _EquivariantNetwork(Block):
    """What every field on the E(3)-equivariant message-passing network has."""

    channels: int = Field(default=24, ge=1)
    """Features of each degree l."""

    l_max: int = Field(default=2, ge=1, le=3)
    """Highest degree l of features and spherical harmonics."""

    layers: int = Field(default=2, ge=1)
    """Interaction layers."""

    cutoff: float = Field(default=6.0, gt=0)
    """Distance up to which atoms see each other [A]."""

    radial_basis: int = Field(default=16, ge=2)
    """Radial basis functions between 0 and the cutoff."""

    radial_kind: Literal["gaussian", "bessel"] = "gaussian"
    """`gaussian` functions are evenly spaced; `bessel` functions are the waves sin(n pi r / cutoff) / r."""

    radial_width: int = Field(default=32, ge=1)
    """Width of the radial network."""

    correlation: int = Field(default=1, ge=1, le=3)
    """Neighbours that one feature sees together: 1 for sums over neighbours, 2 or 3 for products of them as in MACE."""

    neighbours: Literal["auto", "all_pairs", "list"] = "auto"
    """`all_pairs` for small molecules, `list` for a neighbour list, which takes periodic cells and systems of any size,
    `auto` for the better of the two; weights and results are the same."""


class _DenseNetwork(Block):
    """What every field on a plain network has."""

    width: int = Field(default=256, ge=1)
    """Hidden units of each layer."""

    depth: int = Field(default=3, ge=1)
    """Hidden layers."""


class EquivariantFieldConfig(_EquivariantNetwork):
    """An E(3)-equivariant message-passing field that gives the acceleration directly."""

    kind: Literal["equivariant"] = "equivariant"

    zero_net_force: bool = True
    """Whether the net force on the centre of mass is removed."""


class ConservativeFieldConfig(_EquivariantNetwork):
    """The gradient of an energy that an E(3)-equivariant network gives."""

    kind: Literal["conservative"] = "conservative"


class VelocityDependentFieldConfig(_EquivariantNetwork):
    """An E(3)-equivariant field that reads velocities too: not time-reversible."""

    kind: Literal["velocity_dependent"] = "velocity_dependent"

    zero_net_force: bool = True
    """Whether the net force on the centre of mass is removed."""


class FrictionFieldConfig(Block):
    """A field with learned friction, -gamma v, of its own for each element."""

    kind: Literal["friction"] = "friction"

    field: Annotated[EquivariantFieldConfig | ConservativeFieldConfig, Field(discriminator="kind")] = (
        EquivariantFieldConfig()
    )
    """The field without friction."""

    sign: Literal["positive", "any"] = "positive"
    """`positive` for friction that only takes energy out, `any` for one that may heat as well."""


class EnsembleFieldConfig(Block):
    """The mean of several fields, each of which is trained by itself, on batches of its own."""

    kind: Literal["ensemble"] = "ensemble"

    members: int = Field(default=3, ge=2)
    """Number of fields. A step of the training and an evaluation cost that many of one field."""

    field: Annotated[EquivariantFieldConfig | ConservativeFieldConfig, Field(discriminator="kind")] = (
        EquivariantFieldConfig()
    )
    """What each of them is."""


class MLPFieldConfig(_DenseNetwork):
    """A plain network from all coordinates to all accelerations: not equivariant."""

    kind: Literal["mlp"] = "mlp"

    inputs: Literal["phase_space", "positions"] = "phase_space"
    """`phase_space` for f(x, v), `positions` for f(x), which is time-reversible."""


class HamiltonianFieldConfig(_DenseNetwork):
    """A Hamiltonian network: the symplectic gradient of H(x, p)."""

    kind: Literal["hamiltonian"] = "hamiltonian"

    kinetic: Literal["learned", "exact"] = "learned"
    """`learned` for a network H(x, p), `exact` for |p|^2 / 2m plus a network of x."""


class CalculatorFieldConfig(Block):
    """The forces of GFN-xTB themselves: nothing is learned, and training ends at once."""

    kind: Literal["calculator"] = "calculator"

    method: Literal["gfn2-xtb", "gfn1-xtb"] = "gfn2-xtb"
    """What computes the forces."""


def _equivariant_unless_told(field: object) -> object:
    return {"kind": "equivariant", **field} if isinstance(field, dict) and field else field


_AnyField = Annotated[
    EquivariantFieldConfig
    | ConservativeFieldConfig
    | VelocityDependentFieldConfig
    | FrictionFieldConfig
    | EnsembleFieldConfig
    | MLPFieldConfig
    | HamiltonianFieldConfig
    | CalculatorFieldConfig,
    Field(discriminator="kind"),
]

FieldConfig = Annotated[_AnyField, BeforeValidator(_equivariant_unless_told)]
"""f_theta, the right-hand side; a block without a kind is the equivariant field."""


def is_time_reversible(field: FieldConfig) -> bool:
    """Whether dx/dt = v and the acceleration depends on positions only, as velocity Verlet needs it."""
    match field:
        case VelocityDependentFieldConfig() | FrictionFieldConfig():
            return False
        case MLPFieldConfig():
            return field.inputs == "positions"
        case HamiltonianFieldConfig():
            return field.kinetic == "exact"
        case _:
            return True
