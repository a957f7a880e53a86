"""A periodic box from a real engine to rebuilt frames: simulate with ASE, train, evaluate, thin, reconstruct."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.lj import LennardJones
from ase.io import read as read_images
from ase.io import write
from ase.md.verlet import VelocityVerlet

from neuralmd.data.formats import read

CELL = np.array([[10.2, 0.0, 0.0], [3.1, 9.6, 0.0], [-2.2, 1.7, 9.9]])
STRIDE = 20
TIMESTEP = ("--timestep", "10")
CONFIG = """\
run: {name: argon}
data: {path: argon.extxyz, timestep: 10.0, stride: 20, purge: 20}
model: {field: {kind: equivariant, channels: 4, l_max: 1, cutoff: 7.0, radial_width: 8}}
training:
  max_minutes: null
  max_steps: 250
  validate_every: 250
  checkpoint_every: 250
  stages: [{kind: derivative, batch_size: 4, projection: none}]
tracking: {wandb: disabled}
device: cpu
"""


@pytest.fixture(scope="module")
def argon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Liquid argon in a triclinic cell at constant energy; the file has positions within the cell, as engines write."""
    sites = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)[:20] / 3
    atoms = Atoms("Ar20", sites @ CELL, cell=CELL, pbc=True)
    atoms.calc = LennardJones(sigma=3.405, epsilon=0.0104, rc=7.0, smooth=True)
    momenta = np.random.default_rng(0).normal(size=(20, 3)) * np.sqrt(atoms.get_masses() * units.kB * 300)[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    dynamics = VelocityVerlet(atoms, timestep=10.0 * units.fs)
    dynamics.run(100)
    frames = []
    for _ in range(700):
        dynamics.run(1)
        frame = Atoms(atoms.symbols, atoms.positions, cell=CELL, pbc=True, velocities=atoms.get_velocities())
        frame.wrap()
        frames.append(frame)
    path = tmp_path_factory.mktemp("argon") / "argon.extxyz"
    write(path, frames)
    return path


@pytest.fixture
def place(argon: Path, workplace: Path) -> Path:
    (workplace / "argon.extxyz").symlink_to(argon)
    (workplace / "argon.yaml").write_text(CONFIG)
    return workplace


@pytest.mark.slow
def test_a_box_is_rebuilt_across_its_boundaries(place: Path, neuralmd) -> None:
    errors = {}
    for name, steps in (("fresh", 1), ("argon", 150)):
        neuralmd("train", "argon.yaml", f"run.name={name}", f"training.max_steps={steps}")
        neuralmd("evaluate", f"runs/{name}", "--json", "errors.json")
        errors[name] = json.loads((place / "errors.json").read_text())["methods"]
    rebuilt = errors["argon"]["neural_ode"]["mae"]
    assert rebuilt < 0.5 * errors["argon"]["cubic_hermite"]["mae"]
    assert rebuilt < 0.3 * errors["fresh"]["neural_ode"]["mae"]

    neuralmd("thin", "argon.extxyz", "coarse.extxyz", "--stride", f"{STRIDE}", "--start", "500", "--wrap", *TIMESTEP)
    words = ("--run", "runs/argon", "--stride", f"{STRIDE}")
    neuralmd("reconstruct", "coarse.extxyz", "fine.h5", *words)
    neuralmd("reconstruct", "coarse.extxyz", "within.extxyz", *words, "--wrap")
    fine, truth = read(place / "fine.h5"), read(place / "argon.extxyz", timestep=10.0)
    moved = (fine.positions[-1] - fine.positions[0]) @ np.linalg.inv(CELL)
    assert abs(moved).max() > 0.3
    assert abs(np.diff(fine.positions, axis=0)).max() < 0.2  # no atom jumps
    shown = truth.positions[500 : 500 + len(fine)]
    away = np.rint((fine.positions[0] - shown[0]) @ np.linalg.inv(CELL)) @ CELL
    assert abs(fine.positions - shown - away).mean() < 2 * rebuilt
    within = read_images(place / "within.extxyz", ":")
    fractions = np.stack([image.positions for image in within]) @ np.linalg.inv(CELL)
    assert fractions.min() > -1e-6
    assert fractions.max() < 1 + 1e-6
    assert (abs(np.diff(fractions, axis=0)) > 0.5).any()  # some cross the boundary
    apart = (np.stack([image.positions for image in within]) - fine.positions) @ np.linalg.inv(CELL)
    np.testing.assert_allclose(apart, np.rint(apart), atol=1e-5)

    turned = "training.stages=[{kind: trajectory, augmentation: rotations}]"
    assert "periodic cell" in neuralmd("train", "argon.yaml", "run.name=turned", turned, code=2).stderr
    images = read_images(place / "coarse.extxyz", ":")
    for image in images:
        image.set_cell(1.01 * CELL, scale_atoms=True)
    write(place / "wider.extxyz", images)
    refused = neuralmd("reconstruct", "wider.extxyz", "wider.h5", *words, code=2).stderr
    assert "in a cell of 10.2" in refused
    assert "10.302" in refused
    for image in images:
        image.pbc = False
    write(place / "free.extxyz", images)
    assert "without a cell" in neuralmd("reconstruct", "free.extxyz", "free.h5", *words, code=2).stderr
