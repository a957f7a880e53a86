"""The steps of a fixed-step solve, and what is read off the quintic within each of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from neuralmd.ode.hermite import Knot, quintic_shares
from neuralmd.system import Times

Readings = Float[Tensor, "query 3 *shape"]
"""Position, velocity and acceleration at some query times."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step, and the query times that fall into it.

    Attributes:
        length: h [fs].
        inside: For each query strictly within the step, the shares of x1 - x0, v0, v1, a0 and a1 in x - x0, v and a;
            none if there is no such query.
        read_at_end: Whether the end of the step is a query time.
    """

    length: float
    inside: Float[Tensor, "query 3 5"] | None
    read_at_end: bool

    def read(self, start: Knot, end: Knot) -> Readings:
        """The quintic at the queries within the step.

        Raises:
            ValueError: If there is no such query.
        """
        if self.inside is None:
            raise ValueError("no query time falls into this step")
        parts = (
            end.position - start.position,
            start.velocity,
            end.velocity,
            start.acceleration.to(start.position),
            end.acceleration.to(start.position),
        )
        read = torch.tensordot(self.inside, torch.stack(parts), dims=1)
        return torch.cat((read[:, :1] + start.position, read[:, 1:]), dim=1)

    def pull_back(self, cotangents: Readings) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Gradients with respect to x, v and a of the start and of the end, from those of what `read` gives.

        Raises:
            ValueError: If there is no such query.
        """
        if self.inside is None:
            raise ValueError("no query time falls into this step")
        moved, v0, v1, a0, a1 = torch.tensordot(self.inside.flatten(0, 1).T, cotangents.flatten(0, 1), dims=1)
        return (cotangents[:, 0].sum(0) - moved, v0, a0), (moved, v1, a1)


def plan(elapsed: Times, grid: Float[Tensor, " grid"], device: torch.device) -> list[Step]:
    """The steps from one grid point to the next.

    Args:
        elapsed: Query times that increase from the start of the solve; in float64 [fs].
        grid: Grid points that increase from the first query time to the last; in float64 [fs].
        device: Where the states are.
    """
    queries, steps, rows = elapsed.tolist(), [], []
    following = 1
    for begin, end in pairwise(grid.tolist()):
        first = len(rows)
        while queries[following] < end:
            rows.append(quintic_shares((queries[following] - begin) / (end - begin), end - begin))
            following += 1
        read_at_end = queries[following] == end
        steps.append((end - begin, slice(first, len(rows)), read_at_end))
        following += read_at_end
    table = torch.tensor(rows, dtype=torch.float64).to(device)
    return [Step(length, table[within] if within.stop > within.start else None, at) for length, within, at in steps]


def read(along: Iterable[Knot], steps: Iterable[Step], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, velocities and accelerations at the query times.

    Args:
        along: The states at the start and after each step.
        steps: The steps.
        dtype: Precision of what is read.
    """
    parts: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])

    def note(knot: Knot) -> None:
        for part, value in zip(parts, (knot.position, knot.velocity, knot.acceleration), strict=True):
            part.append(value.to(dtype))

    passing = iter(along)
    knot = next(passing)
    note(knot)
    for step, following in zip(steps, passing, strict=True):
        if step.inside is not None:
            for part, curve in zip(parts, step.read(knot, following).to(dtype).unbind(1), strict=True):
                part.extend(curve)
        if step.read_at_end:
            note(following)
        knot = following
    positions, velocities, accelerations = (torch.stack(part) for part in parts)
    return positions, velocities, accelerations
