"""`import neuralmd as nmd`: the names, and what objects say of themselves."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import neuralmd as nmd


def test_every_name_is_there_and_no_other() -> None:
    assert nmd.__all__ == sorted(nmd.__all__)
    assert set(nmd.__all__) == {"__version__", *nmd._HOMES}
    assert set(nmd.__all__) <= set(dir(nmd))
    for name in nmd.__all__:
        assert getattr(nmd, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        _ = nmd.magic  # pyright: ignore[reportAttributeAccessIssue]


def test_names_for_type_checkers_are_the_same() -> None:
    script = """
import ast, inspect, neuralmd
seen = {}
for node in ast.walk(ast.parse(inspect.getsource(neuralmd))):
    if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("neuralmd."):
        for name in node.names:
            seen[name.asname or name.name] = (node.module, name.name)
assert seen == neuralmd._HOMES, set(seen.items()) ^ set(neuralmd._HOMES.items())
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def water() -> nmd.System:
    return nmd.System.from_atomic_numbers([8, 1, 1])


def test_objects_tell_what_they_are() -> None:
    system = water()
    assert repr(system) == "System(H2O, 3 atoms)"
    assert repr(nmd.System(np.array([18]), np.array([40.0]), 9.0 * np.eye(3), np.ones(3, dtype=bool))) == (
        "System(Ar, 1 atom, cell periodic along 3 of 3 vectors)"
    )
    positions = np.zeros((30, 3, 3))
    bare = nmd.Trajectory.uniform(system, positions, 0.5)
    assert repr(bare) == "Trajectory(H2O, 3 atoms, 30 frames, dt 0.5 fs, no velocities)"
    full = nmd.Trajectory.uniform(system, positions, 0.5, velocities=positions, forces=positions)
    assert repr(full) == "Trajectory(H2O, 3 atoms, 30 frames, dt 0.5 fs, stored velocities, forces)"
    state = nmd.PhaseState(torch.zeros(2, 3, 3), torch.zeros(2, 3, 3))
    assert repr(state) == "PhaseState(batch 2, 3 atoms, float32)"
    assert repr(nmd.Anchors(state, state, 10.0)) == "Anchors(gap 10 fs, batch 2, 3 atoms)"


def test_a_model_tells_its_solver_and_blend() -> None:
    field = nmd.EquivariantField(water(), channels=4, l_max=1, layers=1)
    told = repr(nmd.BidirectionalODE(field, solver=nmd.VelocityVerlet(0.5), blend=nmd.PowerBlend(3.0)))
    assert "solver=VelocityVerlet(step=0.5" in told
    assert "blend=PowerBlend(exponent=3.0)" in told
