"""Settings of the training: stages and budget."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from neuralmd.config.block import Block

_SHARE_TOLERANCE = 1e-6


class _Stage(Block):
    """What every stage of a training has."""

    share: float = Field(default=1.0, gt=0, le=1)
    """The stage's part of the budget; the shares of all stages sum to 1."""

    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Part of the stage in which the learning rate rises."""


class DerivativeStage(_Stage):
    """Fits the field to accelerations, as the frames' second differences tell them, without solving an ODE."""

    kind: Literal["derivative"] = "derivative"

    batch_size: int = Field(default=16, ge=1)
    """Frames a step."""

    learning_rate: float = Field(default=8e-3, gt=0)
    """Highest learning rate of the one-cycle schedule."""

    projection: Literal["thermostat", "none"] = "thermostat"
    """`thermostat` takes the part along the velocities, which a global thermostat adds, out of the residual. Forces
    have no such part, and are taken as they are."""

    loss: Literal["mean_square", "mean_norm"] = "mean_square"
    """`mean_square` of the residuals' components, or `mean_norm` of the residuals, whose gradient does not shrink with
    them."""

    target: Literal["differences", "forces"] = "differences"
    """`differences` of the frames, or the file's `forces` over the masses, which no thermostat has touched."""

    difference: Literal["verlet", "seven_point", "numerov"] = "verlet"
    """`verlet` is (x+ - 2x + x-) / dt^2, exact for data with every step of a Verlet integrator. For data stored at
    every n-th step of a finer one: `seven_point` uses three frames on either side, `numerov` compares the same as
    `verlet` with a mean of the field at three frames, which costs three evaluations. Both want a finer
    model.solver.step, or model.solver.kind blanes_moan."""

    energy_weight: float = Field(default=0.0, ge=0)
    """Weight of the errors of the file's energies, over their spread, beside those of the accelerations; for field kind
    conservative. A step takes one more evaluation of the energy."""

    augmentation: Literal["none", "reversal"] = "none"
    """`reversal` turns the velocities of every other frame around, for a field that reads velocities: it should give
    the same acceleration."""

    @model_validator(mode="after")
    def _forces_need_no_difference(self) -> Self:
        if self.target == "forces" and self.difference != "verlet":
            raise ValueError(
                f"difference {self.difference} is of positions, but target forces reads none: leave it out"
            )
        return self


class TrajectoryStage(_Stage):
    """Fits the forward and backward solutions to the hidden frames."""

    kind: Literal["trajectory"] = "trajectory"

    batch_size: int = Field(default=8, ge=1)
    """Windows a step."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """Highest learning rate of the one-cycle schedule."""

    first_stride: int | None = Field(default=None, ge=2)
    """Stride at the start of the stage, which grows to data.stride; none for data.stride throughout."""

    velocity_weight: float = Field(default=0.0, ge=0)
    """Weight of the velocities' error beside that of the positions."""

    augmentation: Literal["none", "rotations"] = "none"
    """`rotations` turns every window at random, for a model that is not equivariant."""


StageConfig = Annotated[DerivativeStage | TrajectoryStage, Field(discriminator="kind")]
"""One stage of a training."""


class Training(Block):
    """What training minimises, in which order, and for how long."""

    max_minutes: float | None = Field(default=15.0, gt=0)
    """Budget of time [min], validation and what is fitted at the end included."""

    clock: Literal["wall", "cpu"] = "wall"
    """What max_minutes counts: `wall` is time on the wall; `cpu` is the processor time of all threads together, which
    other work on the machine does not use up, for comparisons on equal cores."""

    polish_share: float = Field(default=0.1, ge=0, lt=1)
    """Part of max_minutes that is left for what is fitted at the end, where the model has such a thing."""

    max_steps: int | None = Field(default=None, ge=1)
    """Budget of steps, all stages together."""

    stages: tuple[StageConfig, ...] = Field(default=(DerivativeStage(),), min_length=1)
    """The stages, one after the other."""

    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the moving average of the weights, a step."""

    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of Adam's mean of squared gradients, a step: 0.99 forgets them sooner, and so takes smaller steps where the
    gradient begins to grow."""

    gradient_clip: float = Field(default=10.0, gt=0)
    """Largest norm of the gradient."""

    spike_clip: float | None = Field(default=None, gt=1)
    """Largest norm of the gradient in units of what is usual lately, which keeps a single bad batch from undoing a
    training at a high learning rate; none for no such limit."""

    validate_every: int = Field(default=500, ge=1)
    """Steps from one validation to the next."""

    checkpoint_every: int = Field(default=500, ge=1)
    """Steps from one checkpoint to the next."""

    patience: int | None = Field(default=None, ge=1)
    """Validations without progress after which training stops; none for never."""

    @model_validator(mode="after")
    def _has_a_budget(self) -> Self:
        if self.max_minutes is None and self.max_steps is None:
            raise ValueError("at least one of max_minutes and max_steps should be set")
        return self

    @field_validator("stages")
    @classmethod
    def _shares_sum_to_one(cls, stages: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
        total = sum(stage.share for stage in stages)
        if abs(total - 1.0) > _SHARE_TOLERANCE:
            raise ValueError(f"the shares of all stages should sum to 1, but sum to {total:g}")
        return stages
