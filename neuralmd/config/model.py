"""Settings of the neural ODE: solver, adjoint, blend, and its field."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from neuralmd.config.block import Block
from neuralmd.config.corrections import (
    BridgeCorrectionConfig,
    CorrectionConfig,
    EquivariantCorrectionConfig,
    LearnedBlendConfig,
)
from neuralmd.config.fields import EquivariantFieldConfig, FieldConfig, is_time_reversible


class ReversibleAdjointConfig(Block):
    """Exact gradients by undoing the solver's steps, in constant memory: those of backpropagation."""

    kind: Literal["reversible"] = "reversible"

    checkpoints: int = Field(default=8, ge=0)
    """Most states kept on the way, from which the backward pass starts afresh."""


class ContinuousAdjointConfig(Block):
    """Gradients by solving the adjoint equation backward, in constant memory; approximate, as the solution is."""

    kind: Literal["continuous"] = "continuous"

    method: Literal["rk4", "midpoint", "dopri5"] = "rk4"
    """Solver of the adjoint equation."""

    step: float | None = Field(default=None, gt=0)
    """Step of rk4 and midpoint [fs]; none for one step from query time to query time."""

    rtol: float = Field(default=1e-5, gt=0)
    """Relative tolerance of dopri5."""

    atol: float = Field(default=1e-6, gt=0)
    """Absolute tolerance of dopri5."""

    seminorm: bool = True
    """Whether dopri5 leaves the gradients of the weights out of its error estimate."""

    max_steps: int = Field(default=10_000, ge=1)
    """Steps of dopri5 after which the backward pass gives up."""


AdjointConfig = Annotated[ReversibleAdjointConfig | ContinuousAdjointConfig, Field(discriminator="kind")]
"""How the gradients of a splitting method are made, other than by backpropagation."""


class _FixedStepSolver(Block):
    """A solver of constant step."""

    step: float | None = Field(default=None, gt=0)
    """Step [fs]; none for the data's time step."""


class _SplittingSolver(_FixedStepSolver):
    """A solver whose steps can be undone."""

    adjoint: AdjointConfig | None = None
    """How gradients are made; none for backpropagation through the solver."""


class VelocityVerletConfig(_SplittingSolver):
    """Velocity Verlet: second order, time-reversible, one field evaluation a step."""

    kind: Literal["velocity_verlet"] = "velocity_verlet"


class BlanesMoanConfig(_SplittingSolver):
    """Blanes and Moan's Runge-Kutta-Nystrom method: fourth order, time-reversible, six field evaluations a step."""

    kind: Literal["blanes_moan"] = "blanes_moan"


class RK4Config(_FixedStepSolver):
    """The Runge-Kutta method of fourth order (the 3/8 rule)."""

    kind: Literal["rk4"] = "rk4"

    adjoint: ContinuousAdjointConfig | None = None
    """How gradients are made; none for backpropagation through the solver."""


class MidpointConfig(_FixedStepSolver):
    """The midpoint method, of second order."""

    kind: Literal["midpoint"] = "midpoint"

    adjoint: ContinuousAdjointConfig | None = None
    """How gradients are made; none for backpropagation through the solver."""


class Dopri5Config(Block):
    """Dormand-Prince 5(4) with an adaptive step."""

    kind: Literal["dopri5"] = "dopri5"

    adjoint: ContinuousAdjointConfig | None = None
    """How gradients are made; none for backpropagation through the solver."""

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


class CompactBlendConfig(Block):
    """lambda(s) = u^p / (u^p + (1 - u)^p), u = (s - margin) / (1 - 2 margin): 0 and 1 within the margins.

    Neither solution is needed where it has no weight, so a solve takes 1 - margin of the evaluations.
    """

    kind: Literal["compact"] = "compact"

    margin: float = Field(default=0.25, ge=0, lt=0.5)
    """Part of the gap, next to each anchor, that its own solution has to itself."""

    exponent: float = Field(default=2.0, ge=1)
    """p."""


SolverConfig = Annotated[
    VelocityVerletConfig | BlanesMoanConfig | RK4Config | MidpointConfig | Dopri5Config, Field(discriminator="kind")
]
"""What integrates the field."""

_BlendOfFormula = LinearBlendConfig | SmoothstepBlendConfig | QuinticBlendConfig | PowerBlendConfig | CompactBlendConfig

BlendConfig = Annotated[_BlendOfFormula, Field(discriminator="kind")]
"""lambda, the weight of the backward solution."""

FittedBlendConfig = Annotated[_BlendOfFormula | LearnedBlendConfig, Field(discriminator="kind")]
"""lambda where it may be fitted when the training ends."""


class ErrorBarsConfig(Block):
    """Error bars from the disagreement of the two solutions, calibrated on the validation part when training ends."""

    strides: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=1)
    """Frames from anchor to anchor that they are calibrated for; gaps of other lengths get none."""

    inferred_strides: tuple[Annotated[int, Field(ge=2)], ...] = ()
    """The same for coarse files without velocities, whose anchors have inferred ones: calibrated by inferring them for
    some 800 frames of the validation part at each stride, which takes a minute or more."""

    level: float = Field(default=0.9, gt=0, lt=1)
    """The part of all components that lies within its bar."""

    @field_validator("strides", "inferred_strides", mode="before")
    @classmethod
    def _list_is_a_tuple(cls, strides: object) -> object:
        return tuple(strides) if isinstance(strides, list) else strides


class NeuralODEConfig(Block):
    """The bidirectional neural ODE."""

    kind: Literal["neural_ode"] = "neural_ode"

    field: FieldConfig = EquivariantFieldConfig()
    """f_theta, the right-hand side."""

    solver: SolverConfig = VelocityVerletConfig()
    """What integrates the field."""

    blend: FittedBlendConfig = PowerBlendConfig()
    """The weight of the backward solution."""

    correction: CorrectionConfig | None = None
    """What else the mismatch of the solutions tells; none for the blend alone."""

    error_bars: ErrorBarsConfig | None = None
    """How far a rebuilt atom may be from the truth; none for no error bars."""

    @model_validator(mode="after")
    def _solver_takes_the_field(self) -> Self:
        if isinstance(self.solver, _SplittingSolver) and not is_time_reversible(self.field):
            raise ValueError(
                f"solver {self.solver.kind} needs dx/dt = v and a field that depends on positions only, but field "
                f"{self.field.kind} does not keep to that; take solver kind rk4, midpoint or dopri5"
            )
        rounds = self.correction.rounds if isinstance(self.correction, BridgeCorrectionConfig) else 0
        if rounds and not isinstance(self.solver, _SplittingSolver):
            raise ValueError(
                f"correction.rounds needs solver velocity_verlet or blanes_moan, but {self.solver.kind} came; take 0"
            )
        bridged = isinstance(self.correction, BridgeCorrectionConfig) or (
            isinstance(self.correction, EquivariantCorrectionConfig) and self.correction.bridge
        )
        if bridged and self.blend.kind == "learned":
            raise ValueError(
                "blend learned is fitted to solutions that a bridge then moves: take blend kind power with the bridge, "
                "or correction kind least_squares"
            )
        if self.correction is not None and self.field.kind == "hamiltonian":
            raise ValueError("correction needs a field of which dx/dt = v, but hamiltonian learns dx/dt; leave it null")
        return self
