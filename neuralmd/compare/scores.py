"""The scores of one method at one stride: errors, cost, seams, spectrum and energies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from ase.calculators.calculator import Calculator, CalculatorError
from torch import nn

from neuralmd.build.dataset import declared
from neuralmd.compare.contest import Contestant
from neuralmd.data.engines import METHODS, calculator
from neuralmd.data.formats import open_reader
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.rebuild import gap_paths, true_trajectory
from neuralmd.evaluation.seams import kink_of
from neuralmd.evaluation.spectra import spectrum_difference, vibrational_spectrum
from neuralmd.fields.base import Field
from neuralmd.fields.ensemble import EnsembleField
from neuralmd.fields.hamiltonian import HamiltonianField
from neuralmd.interpolators.base import Interpolator
from neuralmd.runs import experiment_of

_ENERGY_FRAMES = 100


@dataclass(frozen=True)
class Score:
    """How well one method did, and what it cost.

    Attributes:
        mae: Mean absolute error over hidden frames [A].
        rmse: Root mean square error over hidden frames [A].
        mae_per_position: The mean for each position in the gap [A].
        milliseconds_per_frame: Wall-clock time for one rebuilt frame [ms].
        evaluations_per_gap: Field evaluations for one gap (NFE); 0 for a method without a field.
        velocity_jump: See `SeamKink`.
        second_difference_ratio: See `SeamKink`.
        position_jump: See `SeamKink` [A].
        spectrum_difference: See `neuralmd.evaluation.spectra.spectrum_difference`, over all wavenumbers.
        energy_error: Mean of |E(x_hat) - E(x)| under the reference engine, over hidden frames [meV]; none without an
            engine, or if it finds no energy for a rebuilt frame.
    """

    mae: float
    rmse: float
    mae_per_position: list[float]
    milliseconds_per_frame: float
    evaluations_per_gap: float
    velocity_jump: float
    second_difference_ratio: float
    position_jump: float
    spectrum_difference: float
    energy_error: float | None


@dataclass(frozen=True, eq=False)
class Reference:
    """What made the true trajectory, to tell the energy of a rebuilt frame.

    Attributes:
        calculator: The engine.
        known: Energies of the true trajectory by stride [eV], which all methods are compared with.
    """

    calculator: Calculator
    known: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def energies(self, trajectory: Trajectory, frames: np.ndarray) -> np.ndarray:
        """Potential energies of some frames [eV].

        Raises:
            ase.calculators.calculator.CalculatorError: If the engine finds none, as for atoms on top of each other.
        """
        from ase import Atoms

        atoms = Atoms(numbers=trajectory.system.atomic_numbers, positions=trajectory.positions[0])
        atoms.calc = self.calculator
        found = []
        for frame in frames:
            atoms.positions = trajectory.positions[frame]
            found.append(float(atoms.get_potential_energy()))
        return np.array(found)


def reference_of(contestants: Sequence[Contestant]) -> Reference | None:
    """The engine that the data of a comparison come from, where the file names one that is installed."""
    member = contestants[0].members[0]
    data = (member.experiment or experiment_of(member.folder)).data
    with open_reader(data.path, declared=declared(data)) as reader:
        method = reader.metadata.get("method")
    if method not in METHODS:
        return None
    try:
        return Reference(calculator(method))
    except DataError:
        return None


def score(method: Interpolator, windows: Windows, reference: Reference | None) -> Score:
    """Rebuild all gaps by a method and score it.

    Raises:
        DataError: If the windows do not follow each other.
        SolverError: If an ODE cannot be solved.
    """
    with _counting(method) as count:
        paths = gap_paths(method, windows)
    errors = paths.errors()
    rebuilt, truth = paths.trajectory(), true_trajectory(windows)
    kink = kink_of(paths)
    return Score(
        mae=errors.mae,
        rmse=errors.rmse,
        mae_per_position=errors.mae_per_position,
        milliseconds_per_frame=1e3 * errors.seconds_per_frame,
        evaluations_per_gap=count[0] / len(windows.starts),
        velocity_jump=kink.velocity_jump,
        second_difference_ratio=kink.second_difference_ratio,
        position_jump=kink.position_jump,
        spectrum_difference=spectrum_difference(vibrational_spectrum(rebuilt), vibrational_spectrum(truth)),
        energy_error=None if reference is None else _energy_error(reference, rebuilt, truth, windows.stride),
    )


def _energy_error(reference: Reference, rebuilt: Trajectory, truth: Trajectory, stride: int) -> float | None:
    """The mean over hidden frames that are spread over the trajectory [meV]; none if one of them has no energy."""
    hidden = np.arange(len(truth))[np.arange(len(truth)) % stride != 0]
    chosen = hidden[np.linspace(0, len(hidden) - 1, min(len(hidden), _ENERGY_FRAMES)).astype(int)]
    try:
        if stride not in reference.known:
            reference.known[stride] = reference.energies(truth, chosen)
        found = reference.energies(rebuilt, chosen)
    except CalculatorError:
        return None
    error = float(1e3 * np.abs(found - reference.known[stride]).mean())
    return error if math.isfinite(error) else None


@contextmanager
def _counting(method: nn.Module) -> Iterator[list[int]]:
    """Count the configurations at which a method's field is evaluated."""
    count = [0]

    def add(_module: nn.Module, _given: object, found: object) -> None:
        count[0] += len(found)  # pyright: ignore[reportArgumentType]

    fields = [module for module in method.children() if isinstance(module, Field)]
    handles = [module.register_forward_hook(add) for field in fields for module in _evaluated(field)]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()


def _evaluated(field: Field) -> list[nn.Module]:
    """What is called once for each evaluation of a field: all members of an ensemble, which are evaluations each."""
    if isinstance(field, EnsembleField):
        return [module for member in field.members for module in _evaluated(member)]
    # A Hamiltonian network gives dx/dt and dv/dt at once, past its forward.
    return [field.network if isinstance(field, HamiltonianField) else field]
