"""Mismatch and energies for a field that is known exactly, and for the real engine as the field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import HarmonicField

from neuralmd.data.engines import calculator
from neuralmd.data.formats import read
from neuralmd.data.molecules import molecule
from neuralmd.data.simulate import SimulationSettings, simulate
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.data.windows import Frames
from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.gap_energies import gap_energies
from neuralmd.evaluation.mismatch import mismatch
from neuralmd.fields.calculator import CalculatorField
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.one_way import ForwardODE
from neuralmd.interpolators.splines import Linear
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.system import System

OMEGA, FINE = 0.3, 0.02
SYSTEM = System.from_atomic_numbers([1, 6])


def verlet(step: float, frames: int = 400) -> Trajectory:
    """Springs of angular frequency OMEGA by velocity Verlet, every step stored."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, 3)), OMEGA * rng.normal(size=(2, 3))
    xs, vs = [], []
    for _ in range(frames):
        xs.append(x)
        vs.append(v)
        half = v - 0.5 * step * OMEGA**2 * x
        x = x + step * half
        v = half - 0.5 * step * OMEGA**2 * x
    return Trajectory.uniform(SYSTEM, np.array(xs), step, velocities=np.array(vs))


def windows(trajectory: Trajectory, stride: int = 1) -> Windows:
    starts = torch.arange(0, len(trajectory) - stride, stride)
    return Windows("a test", Frames.of(trajectory), starts, stride, VelocitySource.STORED)


def test_the_dynamics_that_the_field_has_learned_has_no_mismatch() -> None:
    found = mismatch(ForwardODE(HarmonicField(OMEGA), VelocityVerlet(step=0.5)), windows(verlet(0.5), 6))
    assert found.gap == pytest.approx(3.0)
    assert found.gaps == 66
    assert max(found.position, found.velocity, abs(found.lead), *found.per_element.values()) < 1e-12


@pytest.mark.parametrize("stride", [1, 7])
@pytest.mark.parametrize("step", [0.5, 1.0, 1.5])
def test_a_larger_step_is_ahead_by_what_theory_says(step: float, stride: int) -> None:
    """Verlet's oscillation has the angular frequency 2 asin(w h / 2) / h = w (1 + h^2 w^2 / 24 + ...)."""
    found = mismatch(ForwardODE(HarmonicField(OMEGA), VelocityVerlet(step=FINE)), windows(verlet(step), stride))
    gap, small = step * stride, step**2 * OMEGA
    assert found.gap == pytest.approx(gap)
    assert found.lead == pytest.approx(gap * small * OMEGA / 24 + small * np.sin(2 * OMEGA * gap) / 16, rel=0.15)
    assert set(found.per_element) == {"H", "C"}
    squares = [length**2 for length in found.per_element.values()]
    assert found.position**2 == pytest.approx(np.mean(squares))


def test_atoms_that_stand_still_are_refused() -> None:
    still = Trajectory.uniform(SYSTEM, np.ones((5, 2, 3)), 1.0, velocities=np.zeros((5, 2, 3)))
    with pytest.raises(DataError, match="stand still"):
        mismatch(ForwardODE(HarmonicField(OMEGA), VelocityVerlet(step=0.5)), windows(still))


@pytest.fixture(scope="module")
def waters(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Trajectory]:
    """Water without a thermostat, by steps of 0.5 and 2 fs: 12 frames, 4 fs apart."""
    return {coarse: _water(tmp_path_factory.mktemp("water") / "water.h5", coarse) for coarse in (1, 4)}


def _water(path: Path, coarse: int) -> Trajectory:
    settings = SimulationSettings(ensemble="nve", coarse=coarse, every=8, steps=96, equilibration=40)
    simulate(molecule("H2O"), calculator("gfn2-xtb"), settings, path)
    return read(path)


@torch.no_grad()
def test_water_in_steps_of_2_fs_is_not_the_water_of_small_steps(waters: dict[int, Trajectory]) -> None:
    field = CalculatorField.xtb(waters[1].system, "gfn2-xtb")
    forward = ForwardODE(field, VelocityVerlet(step=0.5))
    own, other = (mismatch(forward, windows(waters[coarse])) for coarse in (1, 4))
    assert own.position < 1e-4
    assert other.position > 1e-3
    assert abs(own.lead) < 1e-3
    assert other.lead > 0.02
    assert other.per_element["H"] > other.per_element["O"]


@torch.no_grad()
def test_energy_is_kept_within_gaps_by_the_truth_and_not_by_others(waters: dict[int, Trajectory]) -> None:
    engine, gaps = calculator("gfn2-xtb"), {coarse: windows(water) for coarse, water in waters.items()}
    model = BidirectionalODE(CalculatorField.xtb(waters[1].system, "gfn2-xtb"), VelocityVerlet(0.5), PowerBlend(3))
    true, coarse = (gap_energies(model, gaps[number], 8, engine) for number in (1, 4))
    line = gap_energies(Linear(), gaps[1], 8, engine)
    assert true.evaluations == 11 * 9
    assert 3 * true.deviation < coarse.deviation
    assert 3 * true.deviation < line.deviation
    with pytest.raises(DataError, match="no hidden frame"):
        gap_energies(model, gaps[1], 1, engine)
