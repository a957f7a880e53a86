"""The total energy along rebuilt gaps, by an engine that is taken for the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float

from neuralmd.data.engines import single_thread
from neuralmd.data.windows import cut
from neuralmd.errors import DataError, SolverError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.interpolators.base import Interpolator
from neuralmd.units import KINETIC_ENERGY


@dataclass(frozen=True)
class GapEnergies:
    """How well the total energy is kept within rebuilt gaps.

    E(t) = V(x_hat(t)) + sum_i m_i |v_hat_i(t)|^2 / 2

    Without a thermostat a true path keeps E; a thermostat moves it little within a gap.

    Attributes:
        deviation: Root mean square over the hidden frames of E(t) less the straight line from the E of one anchor to
            that of the other [eV].
        excess: The mean of the same, above 0 where rebuilt frames are hotter or more strained than the anchors [eV].
        anchors: Root mean square change of E from one anchor to the next [eV].
        evaluations: Potential energies that were computed.
    """

    deviation: float
    excess: float
    anchors: float
    evaluations: int

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


def gap_energies(method: Interpolator, windows: Windows, steps: int, engine: Calculator) -> GapEnergies:
    """Rebuild gaps, and compute the total energy of each frame.

    Args:
        method: What rebuilds.
        windows: The gaps; hidden frames are not looked at.
        steps: Steps from one anchor to the next in what is rebuilt; `steps - 1` frames are hidden.
        engine: V.

    Raises:
        DataError: If there is no window, or no hidden frame.
        SolverError: If the field cannot be solved, or the engine fails.
    """
    if len(windows.starts) == 0 or steps < 2:
        raise DataError(f"{windows.source}: there is no hidden frame whose energy could be computed")
    dtype = next((parameter.dtype for parameter in method.parameters()), torch.float64)
    anchors = cut(windows.frames, windows.starts, windows.stride, dtype, method.context).anchors
    times = torch.arange(1, steps, dtype=dtype, device=windows.frames.positions.device) * (anchors.gap / steps)
    with torch.no_grad():
        path = method(anchors, times)
    positions = torch.cat((anchors.start.positions[None], path.positions, anchors.end.positions[None]))
    velocities = torch.cat((anchors.start.velocities[None], path.velocities, anchors.end.velocities[None]))
    masses = windows.frames.system.masses[:, None]
    kinetic = 0.5 * KINETIC_ENERGY * (masses * velocities.double().cpu().numpy() ** 2).sum(axis=(2, 3))
    energies = kinetic + _potential(positions.double().cpu().numpy(), windows, engine)
    line = energies[0] + np.linspace(0.0, 1.0, steps + 1)[:, None] * (energies[-1] - energies[0])
    off = (energies - line)[1:-1]
    change = float(np.sqrt(np.mean((energies[-1] - energies[0]) ** 2)))
    return GapEnergies(float(np.sqrt(np.mean(off**2))), float(off.mean()), change, energies.size)


def _potential(
    positions: Float[np.ndarray, "step gap atoms 3"], windows: Windows, engine: Calculator
) -> Float[np.ndarray, "step gap"]:
    system = windows.frames.system
    atoms = Atoms(system.atomic_numbers, positions[0, 0], masses=system.masses, cell=system.cell, pbc=system.pbc)
    atoms.calc = engine
    energies = np.empty(positions.shape[:2])
    with single_thread():
        for place in np.ndindex(energies.shape):
            atoms.set_positions(positions[place])
            try:
                energies[place] = atoms.get_potential_energy()
            except RuntimeError as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
                raise SolverError(f"{windows.source}: the engine failed on a rebuilt frame ({reason})") from error
    return energies
