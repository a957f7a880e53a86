from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.io import read as ase_read
from tblite.ase import TBLite

from neuralmd.data.engines import calculator
from neuralmd.data.formats import read
from neuralmd.data.molecules import molecule
from neuralmd.data.simulate import SimulationSettings, simulate
from neuralmd.data.simulation_settings import ENSEMBLES
from neuralmd.data.tally import degrees_of_freedom
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.errors import ConfigError, DataError
from neuralmd.units import ACCELERATION, BOLTZMANN, KINETIC_ENERGY

SHORT = {"steps": 61, "equilibration": 25, "every": 2, "block": 10}


class StoppedError(Exception):
    """What a test raises to break a simulation."""


def stop_at(step: int, error: type[BaseException] = StoppedError) -> Callable[[int], None]:
    def progress(done: int) -> None:
        if done >= step:
            raise error

    return progress


def water(
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    **settings: float | str,
) -> Trajectory:
    chosen = SimulationSettings(**{**SHORT, **settings})
    engine = calculator(chosen.method)
    simulate(molecule("H2O"), engine, chosen, output, resume=resume, overwrite=overwrite, progress=progress)
    return read(output)


def assert_same(first: Trajectory, second: Trajectory) -> None:
    for name in ("positions", "velocities", "forces", "energies"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def kinetic_energies(trajectory: Trajectory) -> np.ndarray:
    squares = trajectory.system.masses[None, :, None] * trajectory.velocities**2
    return 0.5 * KINETIC_ENERGY * squares.sum(axis=(1, 2))


@pytest.fixture(scope="module", params=ENSEMBLES)
def unbroken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Trajectory]:
    folder = tmp_path_factory.mktemp("unbroken")
    return request.param, water(folder / "water.h5", ensemble=request.param)


def test_nve_conserves_energy_and_obeys_verlet(tmp_path: Path) -> None:
    trajectory = water(tmp_path / "water.h5", ensemble="nve", steps=1500, equilibration=200, every=1, block=400)
    energies = kinetic_energies(trajectory) + trajectory.energies
    central = (trajectory.positions[2:] - trajectory.positions[:-2]) / (2 * trajectory.timestep)
    accelerations = ACCELERATION * trajectory.forces / trajectory.system.masses[None, :, None]
    second = np.diff(trajectory.positions, n=2, axis=0) / trajectory.timestep**2
    assert np.std(energies) < 0.02 * np.std(trajectory.energies)
    assert abs(energies[-500:].mean() - energies[:500].mean()) < 0.02 * np.std(trajectory.energies)
    assert np.abs(central - trajectory.velocities[1:-1]).max() < 1e-6
    assert np.abs(second - accelerations[1:-1]).max() < 1e-2 * np.abs(accelerations).max()


@pytest.mark.parametrize(("ensemble", "dof"), [("bussi", 3), ("langevin", 6), ("nose-hoover", 3)])
def test_thermostats_hold_the_temperature(tmp_path: Path, ensemble: str, dof: int) -> None:
    trajectory = water(
        tmp_path / "water.h5",
        ensemble=ensemble,
        steps=1600,
        equilibration=200,
        every=2,
        thermostat_time=20.0,
        block=1000,
    )
    temperature = 2 * kinetic_energies(trajectory).mean() / (dof * BOLTZMANN)
    momenta = (trajectory.system.masses[None, :, None] * trajectory.velocities).sum(axis=1)
    assert 350 < temperature < 650
    assert np.abs(momenta).max() < 1e-10


@pytest.mark.parametrize("ensemble", ["nve", "bussi", "nose-hoover"])
def test_a_molecule_that_tumbles(tmp_path: Path, ensemble: str) -> None:
    """Its angular momentum keeps its direction, in an nve run its size too; a stopped run goes on exactly."""
    chosen = {"ensemble": ensemble, "rotation_temperature": 400.0, "thermostat_time": 20.0}
    trajectory = water(tmp_path / "water.h5", **chosen)
    masses = trajectory.system.masses[None, :, None]
    angular = (masses * np.cross(trajectory.positions, trajectory.velocities)).sum(axis=1)
    sizes = np.linalg.norm(angular, axis=1)
    directions = angular / sizes[:, None]
    assert np.abs(directions - directions[0]).max() < 1e-4
    assert (np.ptp(sizes) < 1e-4 * sizes[0]) == (ensemble == "nve")
    assert set(degrees_of_freedom(trajectory.positions, trajectory.velocities, trajectory.system)) == {6}
    assert trajectory.metadata["rotation_temperature"] == "400.0"
    output = tmp_path / "stopped.h5"
    with pytest.raises(StoppedError):
        water(output, progress=stop_at(25), **chosen)
    assert_same(trajectory, water(output, resume=True, **chosen))


def test_a_periodic_structure_does_not_rotate(tmp_path: Path) -> None:
    settings = SimulationSettings(method="emt", rotation_temperature=300.0)
    with pytest.raises(DataError, match="cannot rotate"):
        simulate(ase.build.bulk("Cu", cubic=True), EMT(), settings, tmp_path / "copper.h5")
    assert list(tmp_path.iterdir()) == []


def test_what_is_written(unbroken: tuple[str, Trajectory]) -> None:
    ensemble, trajectory = unbroken
    assert len(trajectory) == 30
    assert len(trajectory.segments) == 1
    assert trajectory.timestep == 1.0
    assert trajectory.velocity_source is VelocitySource.STORED
    assert trajectory.system.formula == "H2O"
    expected = {"molecule": "H2O", "method": "gfn2-xtb", "ensemble": ensemble, "temperature": "500.0", "seed": "0"}
    assert expected.items() <= trajectory.metadata.items()
    assert {"ase", "tblite", "thermostat_time"} <= trajectory.metadata.keys()


def test_same_seed_same_numbers(unbroken: tuple[str, Trajectory], tmp_path: Path) -> None:
    ensemble, trajectory = unbroken
    assert_same(trajectory, water(tmp_path / "again.h5", ensemble=ensemble))
    assert not np.array_equal(trajectory.positions, water(tmp_path / "other.h5", ensemble=ensemble, seed=1).positions)


@pytest.mark.parametrize("step", [0, 13, 25, 50, 86])
def test_resuming_is_exact(unbroken: tuple[str, Trajectory], tmp_path: Path, step: int) -> None:
    ensemble, trajectory = unbroken
    output = tmp_path / "water.h5"
    with pytest.raises(StoppedError):
        water(output, ensemble=ensemble, progress=stop_at(step))
    assert not output.exists()
    assert_same(trajectory, water(output, ensemble=ensemble, resume=True))
    assert list(tmp_path.iterdir()) == [output]


def test_resuming_after_a_kill_is_exact(tmp_path: Path) -> None:
    output = tmp_path / "water.h5"
    script = f"""
import os, signal
from pathlib import Path
from neuralmd.data.engines import calculator
from neuralmd.data.molecules import molecule
from neuralmd.data.simulate import SimulationSettings, simulate

def progress(done):
    if done == 52:
        os.kill(os.getpid(), signal.SIGKILL)

settings = SimulationSettings(**{SHORT!r})
simulate(molecule("H2O"), calculator("gfn2-xtb"), settings, Path({str(output)!r}), progress=progress)
"""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "water.h5.blocks").glob("block-*.npz"))) == 4
    steps: list[int] = []
    resumed = water(output, resume=True, progress=steps.append)
    assert_same(water(tmp_path / "whole.h5"), resumed)
    assert steps == [45, *range(46, 86), 86]


def test_a_damaged_block_is_simulated_again(tmp_path: Path) -> None:
    whole = water(tmp_path / "whole.h5")
    output = tmp_path / "water.h5"
    with pytest.raises(StoppedError):
        water(output, progress=stop_at(75))
    damaged = tmp_path / "water.h5.blocks" / "block-000003.npz"
    damaged.write_bytes(damaged.read_bytes()[:-700])
    assert_same(whole, water(output, resume=True))


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    output = tmp_path / "water.h5"
    with pytest.raises(KeyboardInterrupt, match=r"water\.h5\.blocks: go on with the same command and --resume"):
        water(output, progress=stop_at(60, KeyboardInterrupt))
    assert len(water(output, resume=True)) == 30


def test_resume_without_anything_to_resume_starts(tmp_path: Path) -> None:
    assert len(water(tmp_path / "water.h5", resume=True)) == 30


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    steps: list[int] = []
    water(tmp_path / "water.h5", progress=steps.append)
    assert steps[0] == 0
    assert steps[-1] == SimulationSettings(**SHORT).total_steps == 86
    assert steps == sorted(steps)


def test_threads_are_left_as_they_were(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        water(tmp_path / "water.h5")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_any_ase_calculator_and_a_periodic_structure(tmp_path: Path) -> None:
    settings = SimulationSettings(method="emt", ensemble="langevin", **SHORT)
    copper = ase.build.bulk("Cu", cubic=True)
    simulate(copper, EMT(), settings, tmp_path / "whole.h5")
    with pytest.raises(StoppedError):
        simulate(copper, EMT(), settings, tmp_path / "copper.h5", progress=stop_at(70))
    simulate(copper, EMT(), settings, tmp_path / "copper.h5", resume=True)
    trajectory = read(tmp_path / "copper.h5")
    assert_same(read(tmp_path / "whole.h5"), trajectory)
    assert trajectory.system.pbc.all()
    assert trajectory.metadata["method"] == "emt"


@pytest.mark.parametrize("settings", [{"equilibration": 0}, {"steps": 2, "every": 2}, {"block": 1000}, {"block": 1}])
def test_number_of_frames(tmp_path: Path, settings: dict[str, int]) -> None:
    expected = SimulationSettings(**{**SHORT, **settings}).frames
    assert len(water(tmp_path / "water.h5", **settings)) == expected


def test_extxyz_is_readable_by_ase(tmp_path: Path) -> None:
    water(tmp_path / "water.extxyz", steps=6)
    assert len(ase_read(tmp_path / "water.extxyz", index=":")) == 3


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"temperature": -1.0}, "temperature must be positive"),
        ({"temperature": float("nan")}, "temperature must be positive"),
        ({"rotation_temperature": -1.0}, "rotation_temperature must be finite, and not negative"),
        ({"rotation_temperature": float("inf")}, "rotation_temperature must be finite"),
        ({"timestep": 0.0}, "timestep must be positive"),
        ({"thermostat_time": float("inf")}, "thermostat_time must be positive"),
        ({"ensemble": "npt"}, "one of nve, bussi, langevin, nose-hoover, but is 'npt'"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"equilibration": -1}, "equilibration must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"every": 0}, "every must be at least 1"),
        ({"block": 0}, "block must be at least 1"),
        ({"steps": 5, "every": 6}, "leaves no frame"),
    ],
)
def test_bad_settings(settings: dict[str, float | str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        SimulationSettings(**settings)


def test_unknown_method() -> None:
    with pytest.raises(ConfigError, match="one of gfn2-xtb, gfn1-xtb, but is 'dft'"):
        calculator("dft")


@pytest.mark.parametrize(
    ("engine", "method", "expected"),
    [
        (lambda: calculator("gfn1-xtb"), "gfn2-xtb", "calculator is gfn1-xtb"),
        (EMT, "gfn2-xtb", "calculator is emt"),
        (lambda: TBLite(method="GFN2-xTB", verbosity=0), "gfn2-xtb", "cache_api=False"),
    ],
)
def test_calculators_that_do_not_fit(tmp_path: Path, engine: Callable[[], object], method: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        simulate(molecule("H2O"), engine(), SimulationSettings(method=method), tmp_path / "water.h5")
    assert list(tmp_path.iterdir()) == []


def test_structures_that_cannot_be_simulated(tmp_path: Path) -> None:
    lone, fixed, broken = ase.build.molecule("H"), molecule("H2O"), molecule("H2O")
    fixed.set_constraint(FixAtoms([0]))
    broken.positions[0, 0] = np.inf
    cases = [(lone, "at least two atoms"), (fixed, "constraints"), (broken, "not finite")]
    for atoms, expected in cases:
        with pytest.raises(DataError, match=expected):
            simulate(atoms, calculator("gfn2-xtb"), SimulationSettings(), tmp_path / "water.h5")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "water.h5"
    first = water(output)
    with pytest.raises(DataError, match="--overwrite"):
        water(output, seed=1)
    with pytest.raises(StoppedError):
        water(output, seed=1, overwrite=True, progress=stop_at(50))
    assert_same(first, read(output))
    second = water(output, seed=1, resume=True, overwrite=True)
    assert not np.array_equal(first.positions, second.positions)


def test_a_begun_simulation_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "water.h5"
    with pytest.raises(StoppedError):
        water(output, progress=stop_at(50))
    with pytest.raises(DataError, match="--resume"):
        water(output)
    with pytest.raises(DataError, match=r"settings\.seed 0 \(now 1\); settings\.temperature 500\.0 \(now 300\.0\)"):
        water(output, resume=True, seed=1, temperature=300.0)
    with pytest.raises(DataError, match=r"other structure\.atomic_numbers"):
        simulate(molecule("HCN"), calculator("gfn2-xtb"), SimulationSettings(**SHORT), output, resume=True)
    assert len(water(output, seed=1, overwrite=True)) == 30


def test_unreadable_settings_of_a_begun_simulation(tmp_path: Path) -> None:
    folder = tmp_path / "water.h5.blocks"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="--overwrite"):
        water(tmp_path / "water.h5", resume=True)


def test_a_file_in_the_way_of_the_blocks(tmp_path: Path) -> None:
    (tmp_path / "water.h5.blocks").write_text("")
    with pytest.raises(DataError, match=r"water\.h5\.blocks cannot be removed"):
        water(tmp_path / "water.h5")


@pytest.mark.parametrize("name", ["water.dat", "file/water.h5"])
def test_a_bad_output_is_found_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=name):
        water(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_time_step_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(blew up|failed) at step \d+.*time step") as refusal:
        water(tmp_path / "water.h5", timestep=30.0, ensemble="nve", equilibration=0)
    assert "\n" not in str(refusal.value)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    output = tmp_path / "water.h5"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done: int) -> None:
        if done == 50:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    try:
        with pytest.raises(DataError, match=r"disk is full.*--resume"):
            water(output, progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert min(path.name for path in (tmp_path / "water.h5.blocks").iterdir()) == "block-000000.npz"
    assert_same(water(tmp_path / "whole.h5"), water(output, resume=True))
