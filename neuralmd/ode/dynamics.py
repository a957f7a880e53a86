"""A field as torchdiffeq wants it, and a watch on adaptive steps that says in a sentence what went wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.errors import SolverError
from neuralmd.fields.base import Field
from neuralmd.system import PhaseState, Positions, Times, Velocities


@dataclass(frozen=True, eq=False)
class Clock:
    """Elapsed time, which always increases: torchdiffeq never sees the direction of a solve.

    s = |t - t_0|,  t = t_0 + sigma s,  sigma = +1 or -1

    Attributes:
        start: t_0 [fs].
        direction: sigma.
        elapsed: s at the query times, in float64 [fs].
    """

    start: float
    direction: float
    elapsed: Times

    def time(self, elapsed: float) -> float:
        """The time t at the elapsed time s [fs]."""
        return self.start + self.direction * elapsed


class Dynamics(nn.Module):
    """The equation of motion in elapsed time s for the pair (x, w), w = sigma v.

    dx/ds = sigma dx/dt(x, sigma w),  dw/ds = f(x, sigma w)

    Both signs of dv/ds = sigma f cancel in w, so this holds for any field, one that depends on v included. Where
    dx/dt = v, dx/ds = w.

    Attributes:
        evaluations: How often the field has been evaluated.
    """

    def __init__(self, field: Field, direction: float) -> None:
        super().__init__()
        self.field = field
        self.direction = direction
        self.evaluations = 0

    def watch(self, forward: StepWatch | None, adjoint: StepWatch | None) -> None:
        """Have the steps of the forward pass and of the adjoint watched, where they are adaptive."""
        # torchdiffeq looks these names up; fixed steps are left alone, for a look at a step makes a GPU wait
        if forward is not None:
            self.callback_step = forward
        if adjoint is not None:
            self.callback_step_adjoint = adjoint

    def forward(self, time: Float[Tensor, ""], pair: tuple[Positions, Velocities]) -> tuple[Positions, Velocities]:
        """(dx/ds, dw/ds); the field is autonomous, so the time plays no part."""
        del time
        self.evaluations += 1
        positions, velocities = pair
        state = PhaseState(positions, self.direction * velocities)
        if not self.field.learns_velocity:
            return velocities, self.field(state)
        moved, accelerations = self.field.rates(state)
        return self.direction * moved, accelerations


class StepWatch:
    """Called by torchdiffeq before each step that an adaptive solver attempts.

    Raises SolverError where torchdiffeq would fail with a bare AssertionError, in the backward pass of the adjoint
    too, which runs long after `solve` has returned.

    Attributes:
        attempts: Steps attempted.
        rejected: Steps attempted and rejected.
    """

    def __init__(self, clock: Clock, begin: float, max_steps: int, solve: str) -> None:
        self._clock = clock
        self._begin = begin
        self._max_steps = max_steps
        self._solve = solve
        self._previous: float | None = None
        self.attempts = 0
        self.rejected = 0

    def __call__(self, elapsed: Float[Tensor, ""], state: tuple[Tensor, ...], step: Float[Tensor, ""]) -> None:
        """Check the step that starts at the elapsed time."""
        begin, length = float(elapsed.detach()), float(step.detach())
        if begin == self._begin and self._previous != begin:  # a second backward pass through the same graph
            self.attempts = self.rejected = 0
        self.attempts += 1
        self.rejected += begin == self._previous
        self._previous = begin
        self._check(begin, length, state)

    def _check(self, begin: float, length: float, state: tuple[Tensor, ...]) -> None:
        where = f"{self._solve} failed at t = {self._clock.time(begin):.6g} fs"
        # torchdiffeq puts 0 in place of a step that is not finite
        if length == 0 or not all(bool(torch.isfinite(part).all()) for part in state):
            raise SolverError(f"{where}: the field or the state is not finite there; check the field, or start closer")
        if begin + length <= begin or begin - length >= begin:
            raise SolverError(f"{where}: the step fell to {length:.2g} fs; loosen rtol and atol, or solve in float64")
        if self.attempts > self._max_steps:
            raise SolverError(
                f"{where}: {self._max_steps} steps were not enough; loosen rtol and atol, or raise max_steps"
            )
