"""Small trajectories for the tests of files."""

from __future__ import annotations

import numpy as np

from neuralmd.data.segments import from_lengths
from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.system import System


def sample(lengths=(12,), timesteps=(0.5,), *, fields=("velocities", "forces", "energies"), periodic=False, seed=0):
    """Water that moves smoothly, with every field asked for."""
    rng = np.random.default_rng(seed)
    frames = sum(lengths)
    molecule = System.from_atomic_numbers([8, 1, 1])
    cell = np.diag([9.0, 10.0, 11.0]) + 0.5 * np.eye(3, k=-1) if periodic else np.zeros((3, 3))
    system = System(molecule.atomic_numbers, molecule.masses, cell, np.full(3, periodic))
    rest = np.array([[0.0, 0.0, 0.1], [0.76, 0.0, -0.5], [-0.76, 0.0, -0.5]])
    amplitude, phase = 0.1 * rng.normal(size=(3, 3)), rng.uniform(0, 6.3, size=(3, 3))
    time = 0.1 * np.arange(frames)[:, None, None]
    positions = rest + amplitude * np.sin(time + phase)
    return Trajectory(
        system,
        positions,
        from_lengths(lengths, timesteps),
        velocities=0.1 * amplitude * np.cos(time + phase) / timesteps[0] if "velocities" in fields else None,
        velocity_source=VelocitySource.CENTRAL if "velocities" in fields else None,
        forces=rng.normal(size=positions.shape) if "forces" in fields else None,
        energies=rng.normal(size=frames) - 2000.0 if "energies" in fields else None,
        metadata={"engine": "none; \"quoted\", 'and' = {braces}\n\\next line", "temperature": "500.0", "Å": "é"},
    )


def assert_equal(read, written, *, positions=0.0, others=1e-14):
    """The same trajectory, to the given tolerances."""
    assert read.system.same_atoms(written.system)
    np.testing.assert_allclose(read.system.masses, written.system.masses, rtol=0, atol=max(positions, 1e-12))
    np.testing.assert_array_equal(read.system.cell, written.system.cell)
    np.testing.assert_array_equal(read.system.pbc, written.system.pbc)
    assert [(s.start, s.length) for s in read.segments] == [(s.start, s.length) for s in written.segments]
    np.testing.assert_allclose([s.timestep for s in read.segments], [s.timestep for s in written.segments], rtol=1e-12)
    assert dict(read.metadata) == dict(written.metadata)
    assert read.velocity_source == written.velocity_source
    np.testing.assert_allclose(read.positions, written.positions, rtol=0, atol=positions)
    for name in ("velocities", "forces", "energies"):
        ours, theirs = getattr(read, name), getattr(written, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=others, atol=max(positions, others))
