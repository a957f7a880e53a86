"""Many gaps at once: as many as are fastest and fit into memory, and fewer where a GPU's memory runs out after all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Final

import torch
from jaxtyping import Int
from torch import Tensor

from neuralmd.errors import SolverError
from neuralmd.interpolators.base import Friction, Interpolator, Path

MOST: Final = {"cpu": 64, "cuda": 4096}
"""Most gaps at once; more are no faster."""

_ATOMS: Final = {"cpu": 2**12, "cuda": 2**18}
"""Atoms at once beyond which more are no faster; a gap more is still taken where one has fewer atoms."""

_BYTES_PER_ATOM: Final = 64_000
"""Of the field along a neighbour list, both directions together [B]; measured on water, 54 kB with 85 neighbours."""

_BYTES_PER_ATOM_AND_FRAME: Final = 600
"""Of the solutions [B]; measured on benzene, 470 B."""

_SHARE: Final = 0.5
"""The part of the available memory that a batch may take: others want some too, and what is counted is an estimate."""


def gaps_at_once(method: Interpolator, atoms: int, frames: int) -> int:
    """How many gaps to fill at once: `method.at_once`, or else what is fast and fits into memory.

    n = min(M, A / atoms, 1/2 free memory / (atoms (a + b frames)))

    with limits M and A beyond which a device is no faster, and a and b bytes as measured with the default network.

    Args:
        method: What fills them.
        atoms: Of the system.
        frames: Times that are asked for in each gap.
    """
    if method.at_once is not None:
        return method.at_once
    parameter = next(method.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    fast = min(MOST.get(device.type, 64), -(-_ATOMS.get(device.type, 2**12) // atoms))
    needed = atoms * (_BYTES_PER_ATOM + _BYTES_PER_ATOM_AND_FRAME * frames)
    free = free_memory(device)
    return fast if free is None else max(1, min(fast, int(_SHARE * free) // needed))


def free_memory(device: torch.device) -> int | None:
    """Memory that is to be had on a device, without what other programs hold [B]; none where nobody tells."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    try:
        lines = FilePath("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def in_batches(
    starts: Int[Tensor, " gaps"], size: int, fill: Callable[[Int[Tensor, " some"]], Path]
) -> Iterator[tuple[Int[Tensor, " some"], Path]]:
    """Fill gaps batch by batch, in order. Where a GPU's memory runs out, go on with batches of half the size.

    Args:
        starts: Where the gaps begin.
        size: Gaps in a batch.
        fill: The path through some of the gaps.

    Yields:
        The gaps of a batch, and the path through them.

    Raises:
        SolverError: If the memory does not suffice for one gap.
    """
    done = 0
    while done < len(starts):
        some = starts[done : done + size]
        path = _unless_memory_ends(fill, some)
        if path is not None:
            yield some, path
            done += len(some)
        elif len(some) == 1:
            raise SolverError(
                "one gap alone does not fit into the memory of the GPU: take device=cpu, or a smaller network"
            )
        else:
            size = len(some) // 2


def joined(paths: list[Path]) -> Path:
    """The paths through some gaps and through others as one."""
    if len(paths) == 1:
        return paths[0]
    first, frictions = paths[0], [each.friction for each in paths if each.friction is not None]
    if not frictions or first.friction is None:
        friction = None
    else:
        rates, spreads = ([each.rate for each in frictions], [each.spread for each in frictions])
        friction = Friction(first.friction.times, torch.cat(rates, dim=1), torch.cat(spreads, dim=1))
    return replace(
        first,
        positions=torch.cat([each.positions for each in paths], dim=1),
        velocities=torch.cat([each.velocities for each in paths], dim=1),
        accelerations=_together([each.accelerations for each in paths]),
        error_bars=_together([each.error_bars for each in paths]),
        frame_error_bars=_together([each.frame_error_bars for each in paths]),
        friction=friction,
    )


def _unless_memory_ends(fill: Callable[[Int[Tensor, " some"]], Path], some: Int[Tensor, " some"]) -> Path | None:
    try:
        return fill(some)
    except torch.OutOfMemoryError:
        pass
    # Outside the handler, since the error holds on to what the failed attempt made.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _together(parts: list[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known, dim=1) if len(known) == len(parts) else None
