"""Settings of the neural ODE: solver, adjoint, blend, and its field."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from neuralmd.config.block import Block
from neuralmd.config.fields import EquivariantFieldConfig, FieldConfig, is_time_reversible


class AdjointConfig(Block):
    """Gradients by solving the adjoint equation backward, in constant memory, in place of backpropagation."""

    method: Literal["rk4", "midpoint", "dopri5"]
    """Solver of the adjoint equation."""

    step: float | None = Field(default=None, gt=0)
    """Step of rk4 and midpoint [fs]; none for the solver's own."""

    rtol: float = Field(default=1e-5, gt=0)
    """Relative tolerance of dopri5."""

    atol: float = Field(default=1e-6, gt=0)
    """Absolute tolerance of dopri5."""

    seminorm: bool = True
    """Whether dopri5 leaves the gradients of the weights out of its error estimate."""


class _Solver(Block):
    """What every solver has."""

    adjoint: AdjointConfig | None = None
    """How gradients are made; none for backpropagation through the solver."""


class _FixedStepSolver(_Solver):
    """A solver of constant step."""

    step: float | None = Field(default=None, gt=0)
    """Step [fs]; none for the data's time step."""


class VelocityVerletConfig(_FixedStepSolver):
    """Velocity Verlet: second order, time-reversible, one field evaluation a step."""

    kind: Literal["velocity_verlet"] = "velocity_verlet"


class RK4Config(_FixedStepSolver):
    """The classical Runge-Kutta method of fourth order."""

    kind: Literal["rk4"] = "rk4"


class MidpointConfig(_FixedStepSolver):
    """The midpoint method, of second order."""

    kind: Literal["midpoint"] = "midpoint"


class Dopri5Config(_Solver):
    """Dormand-Prince 5(4) with an adaptive step."""

    kind: Literal["dopri5"] = "dopri5"

    rtol: float = Field(default=1e-5, gt=0)
    """Relative tolerance."""

    atol: float = Field(default=1e-6, gt=0)
    """Absolute tolerance [A, A/fs]."""

    max_steps: int = Field(default=10_000, ge=1)
    """Steps after which the solver gives up."""


class LinearBlendConfig(Block):
    """lambda(s) = s."""

    kind: Literal["linear"] = "linear"


class SmoothstepBlendConfig(Block):
    """lambda(s) = 3 s^2 - 2 s^3."""

    kind: Literal["smoothstep"] = "smoothstep"


class QuinticBlendConfig(Block):
    """lambda(s) = 10 s^3 - 15 s^4 + 6 s^5."""

    kind: Literal["quintic"] = "quintic"


class PowerBlendConfig(Block):
    """lambda(s) = s^p / (s^p + (1 - s)^p)."""

    kind: Literal["power"] = "power"

    exponent: float = Field(default=3.0, ge=1)
    """p; 3 is the weight of least variance where the acceleration's error is noise."""


SolverConfig = Annotated[VelocityVerletConfig | RK4Config | MidpointConfig | Dopri5Config, Field(discriminator="kind")]
"""What integrates the field."""

BlendConfig = Annotated[
    LinearBlendConfig | SmoothstepBlendConfig | QuinticBlendConfig | PowerBlendConfig, Field(discriminator="kind")
]
"""lambda, the weight of the backward solution."""


class CorrectionConfig(Block):
    """A correction to the blend, linear in the mismatch of the two solutions, fitted when the training ends."""

    strides: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=1)
    """Frames from anchor to anchor that it is fitted for; gaps of other lengths get the blend alone."""

    terms: int = Field(default=4, ge=1, le=16)
    """Polynomials of time for each feature of the mismatch."""

    @field_validator("strides", mode="before")
    @classmethod
    def _list_is_a_tuple(cls, strides: object) -> object:
        # The model's block is completed before it is validated, and from then on a list of YAML is a Python list.
        return tuple(strides) if isinstance(strides, list) else strides


class NeuralODEConfig(Block):
    """The bidirectional neural ODE."""

    kind: Literal["neural_ode"] = "neural_ode"

    field: FieldConfig = EquivariantFieldConfig()
    """f_theta, the right-hand side."""

    solver: SolverConfig = VelocityVerletConfig()
    """What integrates the field."""

    blend: BlendConfig = PowerBlendConfig()
    """The weight of the backward solution."""

    correction: CorrectionConfig | None = None
    """What else the mismatch of the solutions tells; none for the blend alone."""

    @model_validator(mode="after")
    def _solver_takes_the_field(self) -> Self:
        if isinstance(self.solver, VelocityVerletConfig) and not is_time_reversible(self.field):
            raise ValueError(
                "solver velocity_verlet needs dx/dt = v and a field that depends on positions only, but field "
                f"{self.field.kind} does not keep to that; take solver kind rk4, midpoint or dopri5"
            )
        if self.correction is not None and self.field.kind == "hamiltonian":
            raise ValueError("correction needs a field of which dx/dt = v, but hamiltonian learns dx/dt; leave it null")
        return self
