"""The reversible adjoint: exact gradients of a splitting method, in memory that does not grow with the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neuralmd.errors import SolverError
from neuralmd.ode.course import Course
from neuralmd.ode.hermite import Knot
from neuralmd.ode.steps import Step
from neuralmd.system import Accelerations, Curves, PhaseState, Positions, Velocities

State = tuple[Tensor, Tensor]
"""Positions and velocities in float64."""


def solve_reversibly(
    course: Course, position: Positions, velocity: Velocities, checkpoints: int
) -> tuple[Curves, Curves, Curves]:
    """Positions, velocities and accelerations at the query times; see `neuralmd.ode.adjoints.ReversibleAdjoint`.

    Args:
        course: The solve.
        position: x at the start [A].
        velocity: v at the start, of the elapsed time [A/fs].
        checkpoints: Most states on the way that are kept.
    """
    weights = [weight for weight in course.field.parameters() if weight.requires_grad]
    if not torch.is_grad_enabled() or not any(each.requires_grad for each in (position, velocity, *weights)):
        return course.solution(course.knots(position, velocity))
    return _Reversible.apply(course, checkpoints, position, velocity, *weights)


class _Reversible(torch.autograd.Function):
    """Forward without a graph; backward by undoing the steps."""

    @staticmethod
    @override
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] (any arguments there)
        ctx: Any, course: Course, checkpoints: int, position: Positions, velocity: Velocities, *weights: Tensor
    ) -> tuple[Curves, Curves, Curves]:
        last = len(course.steps)
        every = last // (checkpoints + 1) + 1
        kept: dict[int, State] = {}

        def passing() -> Iterator[Knot]:
            for index, knot in enumerate(course.knots(position, velocity)):
                if index == last or (index > 0 and index % every == 0):
                    kept[index] = (knot.position, knot.velocity)
                yield knot

        solution = course.solution(passing())
        ctx.set_materialize_grads(False)
        ctx.course, ctx.places = course, tuple(kept)
        # Saved, not only referred to, so that autograd notices weights that were changed before the backward pass.
        ctx.save_for_backward(*(part for state in kept.values() for part in state), *weights)
        return solution

    @staticmethod
    @override
    def backward(ctx: Any, *cotangents: Curves | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise SolverError(
                "the reversible adjoint gives first derivatives only, but the derivative of a gradient was asked for: "
                "leave the solver's adjoint out, and gradients come by backpropagation through the steps"
            )
        places, saved = ctx.places, ctx.saved_tensors
        states = zip(saved[0 : 2 * len(places) : 2], saved[1 : 2 * len(places) : 2], strict=True)
        sweep = _Sweep(ctx.course, dict(zip(places, states, strict=True)), saved[2 * len(places) :])
        position, velocity = sweep.run(_Cotangents(cotangents))
        return None, None, position, velocity, *sweep.gradients


class _Cotangents:
    """Gradients of the loss with respect to the solution, handed out from the last query time to the first."""

    def __init__(self, curves: Sequence[Curves | None]) -> None:
        self._curves = curves
        self._left = next((len(curve) for curve in curves if curve is not None), 0)

    def take(self, count: int) -> list[Tensor | None]:
        """Those of the last `count` queries that are left, for positions, velocities and accelerations."""
        rows = slice(self._left - count, self._left)
        self._left -= count
        return [None if curve is None else curve[rows].double() for curve in self._curves]


class _Sweep:
    """A walk along a course from its last state to its first, with the gradients of the loss on the way.

    Backward through a drift x' = x + a h v and a kick v' = v + b h f(x), for the gradients (X, V) of the loss:

    x = x' - a h v,  V += a h X;    v = v' - b h f(x),  X += b h V df/dx,  dL/dtheta += b h V df/dtheta

    Attributes:
        gradients: dL/dtheta so far.
    """

    def __init__(self, course: Course, kept: Mapping[int, State], weights: Sequence[Tensor]) -> None:
        self._course, self._kept, self._weights = course, kept, weights
        present = [weight for weight in course.field.parameters() if weight.requires_grad]
        if len(present) != len(weights) or any(one is not other for one, other in zip(present, weights, strict=True)):
            raise SolverError(
                "the field's weights were exchanged, frozen or thawed between a solve and its backward pass, which the "
                "reversible adjoint evaluates the field in: leave them, or leave the adjoint out"
            )
        self.gradients: list[Tensor | None] = [None for _ in weights]

    def run(self, cotangents: _Cotangents) -> State:
        """The gradients with respect to the positions and velocities at the start."""
        steps = self._course.steps
        self._x, self._v = self._kept[len(steps)]
        self._to_x, self._to_v, self._to_a = (torch.zeros_like(self._x) for _ in range(3))
        self._undone = 0.0
        for index in range(len(steps), 0, -1):
            step = steps[index - 1]
            if step.read_at_end:
                self._add([None if one is None else one[0] for one in cotangents.take(1)])
            within = None if step.inside is None else cotangents.take(len(step.inside))
            at_start, at_end = _of_knots(step, within)
            self._add(at_end)
            self._pass_knot(index, step.length * self._course.splitting.kicks[-1])
            self._undo(step.length)
            self._add(at_start)
        self._add([None if one is None else one[0] for one in cotangents.take(1)])
        self._pass_knot(0, 0.0)
        return self._to_x.to(self._course.dtype), self._to_v.to(self._course.dtype)

    def _add(self, cotangents: Sequence[Tensor | None]) -> None:
        """Take into account that the solution reads the present knot."""
        for total, one in zip((self._to_x, self._to_v, self._to_a), cotangents, strict=True):
            if one is not None:
                total.add_(one)

    def _pass_knot(self, index: int, before: float) -> None:
        """Undo the two kicks at a grid point: the first of the step after it, and the last of the step before it."""
        kept = self._kept.get(index)
        if kept is not None:
            self._x = kept[0]
        self._to_a += before * self._to_v
        acceleration = self._differentiate(self._to_a)
        at_knot = self._v - self._undone * acceleration if kept is None else kept[1]
        self._v = at_knot - before * acceleration

    def _undo(self, length: float) -> None:
        """Undo the drifts and the kicks of a step, but for its first and its last kick."""
        kicks, drifts = self._course.splitting.kicks, self._course.splitting.drifts
        for stage in range(len(drifts) - 1, 0, -1):
            self._undo_drift(drifts[stage] * length)
            kick = kicks[stage] * length
            self._v = self._v - kick * self._differentiate(kick * self._to_v)
        self._undo_drift(drifts[0] * length)
        self._undone = kicks[0] * length
        self._to_a = self._undone * self._to_v

    def _undo_drift(self, drift: float) -> None:
        self._x = self._x - drift * self._v
        self._to_v += drift * self._to_x

    def _differentiate(self, cotangent: Tensor) -> Accelerations:
        """The field at the present positions; its derivative is added to the gradients of positions and weights."""
        course = self._course
        with torch.enable_grad():
            seen = self._x.to(course.dtype).detach().requires_grad_()
            acceleration = course.field(PhaseState(seen, self._v.to(course.dtype)))
        if acceleration.requires_grad:
            to_x, *to_weights = torch.autograd.grad(
                acceleration, (seen, *self._weights), cotangent.to(acceleration.dtype), allow_unused=True
            )
            if to_x is not None:
                self._to_x += to_x
            for index, one in enumerate(to_weights):
                total = self.gradients[index]
                if one is not None:
                    self.gradients[index] = one if total is None else total + one
        return acceleration.detach()


def _of_knots(step: Step, cotangents: list[Tensor | None] | None) -> tuple[Sequence[Tensor | None], ...]:
    """What the queries within a step want of the knots at its start and its end."""
    known = [one for one in cotangents or () if one is not None]
    if cotangents is None or not known:
        return (None, None, None), (None, None, None)
    zeros = torch.zeros_like(known[0])
    return step.pull_back(torch.stack([zeros if one is None else one for one in cotangents], dim=1))
