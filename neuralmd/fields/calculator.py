"""`CalculatorField`: any ASE calculator as a field, without gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Self

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from typing_extensions import override

from neuralmd.data.engines import calculator as tblite_calculator
from neuralmd.data.engines import single_thread
from neuralmd.errors import SolverError
from neuralmd.fields.base import Field
from neuralmd.system import Accelerations, PhaseState, System
from neuralmd.units import ACCELERATION


class CalculatorField(Field):
    """The forces of an ASE calculator: the exact physics, or a force field that is already there (MACE, sGDML, xTB).

    a_i = F_i(x) / m_i

    It has no weights and needs no training. A batch is computed one configuration after the other, in double precision.

    Args:
        system: The molecule.
        calculator: What computes the forces.
        around: Makes a context in which each batch is computed, as `single_thread` for tblite.
    """

    def __init__(
        self,
        system: System,
        calculator: Calculator,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        super().__init__()
        self._atoms = Atoms(
            numbers=system.atomic_numbers,
            positions=np.zeros((system.atoms, 3)),
            masses=system.masses,
            cell=system.cell,
            pbc=system.pbc,
        )
        self._atoms.calc = calculator
        self._around = around

    @classmethod
    def xtb(cls, system: System, method: str) -> Self:
        """The methods "gfn2-xtb" and "gfn1-xtb" of tblite, on one thread.

        Raises:
            ConfigError: If the method is not one of these.
            DataError: If tblite is not installed.
        """
        return cls(system, tblite_calculator(method), single_thread)

    @override
    def forward(self, state: PhaseState) -> Accelerations:
        """F/m at the positions [A/fs^2].

        Raises:
            SolverError: If a gradient is asked for, or the calculator fails.
        """
        positions = state.positions
        if torch.is_grad_enabled() and positions.requires_grad:
            raise SolverError(
                "an ASE calculator has no gradients, but one is asked for: evaluate it under torch.no_grad(), or take "
                "a field that learns"
            )
        with self._around():
            forces = [self._forces(each) for each in positions.detach().cpu().double().numpy()]
        accelerations = np.stack(forces) * (ACCELERATION / self._atoms.get_masses()[:, None])
        return torch.as_tensor(accelerations).to(positions)

    def _forces(self, positions: np.ndarray) -> np.ndarray:
        self._atoms.set_positions(positions)
        try:
            return self._atoms.get_forces()
        except (RuntimeError, NotImplementedError) as error:
            name = type(self._atoms.calc).__name__
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
            raise SolverError(f"{name} gave no forces ({reason}): is the structure sound?") from error
