"""What a user should know of inferred velocities, in sentences."""

from __future__ import annotations

import torch

from neuralmd.interpolators.shooting import Inferred
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY, WAVENUMBER_PERIOD

_BLIND = 0.1
"""Share of the thermal variance: a frame that keeps more along some direction is worth a warning."""


def remarks(inferred: Inferred, system: System, gap: float) -> list[str]:
    """How sure the velocities are, and where they are not.

    Args:
        inferred: The velocities.
        system: The atoms.
        gap: Time from frame to frame [fs].
    """
    frames = len(inferred.velocities)
    masses = torch.as_tensor(system.masses).to(inferred.spread)
    thermal = (BOLTZMANN / KINETIC_ENERGY * inferred.temperature[:, None] / masses).sqrt()
    share = float((inferred.spread.square().mean(2).sqrt() / thermal).median())
    sure = f"standard deviation {float(inferred.spread.median()):.1e} A/fs (median), {100 * share:.2g} % of thermal"
    found = [f"velocities were inferred from positions alone, {frames} frames {gap:.4g} fs apart: {sure}"]
    blind = inferred.converged & (inferred.blind > _BLIND)
    if bool(blind.any()):
        worst = int(torch.where(blind, inferred.blind, 0.0).argmax())
        wavenumber = float(inferred.wavenumber[worst])
        found.append(
            f"a gap of {gap:.4g} fs is too near to a multiple of half the period of some modes (the worst: "
            f"{wavenumber:.0f} cm^-1, {_halves(wavenumber, gap):.2f} half-periods), whose velocities it does not tell: "
            f"they are widely uncertain in {int(blind.sum())} of {frames} frames"
        )
    failed = int((~inferred.converged).sum())
    if failed:
        found.append(f"no velocities could be inferred at {failed} of {frames} frames, which got those of a spline")
    return found


def _halves(wavenumber: float, gap: float) -> float:
    return 2 * gap * wavenumber / WAVENUMBER_PERIOD
