"""Simulations whose integrator takes several time steps at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuralmd.data.engines import calculator
from neuralmd.data.formats import read
from neuralmd.data.gaps import gaps_of
from neuralmd.data.molecules import molecule
from neuralmd.data.simulate import SimulationSettings, simulate
from neuralmd.data.simulation_settings import integrator_step
from neuralmd.data.thinning import Thinning, thin
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import ConfigError

COARSE = SimulationSettings(timestep=0.5, coarse=4, every=8, steps=101, equilibration=25, block=3)
PLAIN = SimulationSettings(timestep=2.0, every=2, steps=25, equilibration=7, block=3)


class StoppedError(Exception):
    """What a test raises to break a simulation."""


def water(output: Path, settings: SimulationSettings, *, resume: bool = False, stop: int | None = None) -> Trajectory:
    def progress(done: int) -> None:
        if done == stop:
            raise StoppedError

    engine = calculator(settings.method)
    simulate(molecule("H2O"), engine, settings, output, resume=resume, progress=progress)
    return read(output)


def test_four_steps_at_once_are_one_step_of_four_times_the_length(tmp_path: Path) -> None:
    coarse = water(tmp_path / "coarse.h5", COARSE)
    plain = water(tmp_path / "plain.h5", PLAIN)
    assert len(coarse) == len(plain) == COARSE.frames == 12
    assert coarse.timestep == pytest.approx(4.0)
    for name in ("positions", "velocities", "forces", "energies"):
        assert np.array_equal(getattr(coarse, name), getattr(plain, name)), name


def test_a_stopped_one_goes_on_exactly_and_counts_its_own_steps(tmp_path: Path) -> None:
    unbroken = water(tmp_path / "unbroken.h5", COARSE)
    assert COARSE.total_steps == 7 + 25
    assert COARSE.block_ends() == [0, 6, 7, 13, 19, 25, 31]
    for stop in (3, 16):
        with pytest.raises(StoppedError):
            water(tmp_path / "stopped.h5", COARSE, resume=True, stop=stop)
    resumed = water(tmp_path / "stopped.h5", COARSE, resume=True)
    assert np.array_equal(resumed.positions, unbroken.positions)
    assert np.array_equal(resumed.velocities, unbroken.velocities)


def test_the_file_and_what_is_thinned_from_it_tell_the_step(tmp_path: Path) -> None:
    for settings, step in ((COARSE, 2.0), (PLAIN, 2.0), (SimulationSettings(steps=40, equilibration=1), 0.5)):
        path, thinned = tmp_path / f"{settings.coarse}{settings.timestep}.h5", tmp_path / "thin.h5"
        assert integrator_step(water(path, settings).metadata) == step
        thin(path, thinned, Thinning(2), overwrite=True)
        for file in (path, thinned):
            gaps = gaps_of(file)
            assert gaps.integrator_step == step
            assert len(gaps.about_step(0.5)) == (step > 0.5)
            assert gaps.about_step(step) == []


@pytest.mark.parametrize(
    "metadata",
    [{}, {"timestep": "fast"}, {"timestep": "nan"}, {"timestep": "-1"}, {"timestep": "0.5", "coarse": "1.5"}],
)
def test_a_file_that_does_not_tell_its_step(metadata: dict[str, str]) -> None:
    assert integrator_step(metadata) is None


@pytest.mark.parametrize("wrong", [{"coarse": 0}, {"coarse": 4}, {"coarse": 4, "every": 6}])
def test_frames_that_no_coarse_step_passes_through_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"must be at least 1, but is 0|every must be a multiple of coarse, 4"):
        SimulationSettings(**wrong)
