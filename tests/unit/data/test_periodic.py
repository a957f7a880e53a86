"""Periodic cells: unwrapping on read, wrapping on write, molecules in one piece, and cells that cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralmd.data import formats
from neuralmd.data.declared import Declared
from neuralmd.data.periodic import UnwrappedReader, in_one_piece, inverse_cell, wrapped
from neuralmd.data.thinning import Thinning, thin
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError
from neuralmd.system import System

CELLS = {
    "orthorhombic": np.diag([4.0, 5.0, 6.0]),
    "triclinic": np.array([[4.0, 0.0, 0.0], [1.5, 5.0, 0.0], [-1.0, 2.0, 6.0]]),
    "turned": np.array([[0.0, 4.0, 0.5], [5.0, 0.3, 0.0], [0.2, 0.0, -6.0]]),
}


def system(cell: np.ndarray, pbc: tuple[bool, ...] = (True, True, True)) -> System:
    return replace(System.from_atomic_numbers([18, 18, 18, 18]), cell=cell, pbc=np.array(pbc))


def drifting(cell: np.ndarray, frames: int = 200, *, pbc: tuple[bool, ...] = (True, True, True)) -> Trajectory:
    """Atoms that leave the cell several times in all directions."""
    rng = np.random.default_rng(5)
    velocities = rng.normal(0.0, 0.15, (4, 3))
    positions = rng.uniform(0, 4, (4, 3)) + velocities * np.arange(frames)[:, None, None]
    positions += rng.normal(0.0, 0.02, positions.shape)
    return Trajectory.uniform(system(cell, pbc), positions, 1.0, velocities=np.tile(velocities, (frames, 1, 1)))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, True)])
def test_unwrapping_undoes_wrapping(tmp_path, name, pbc):
    free = drifting(CELLS[name], pbc=pbc)
    inside = replace(free, positions=wrapped(free.positions, free.system))
    fractions = inside.positions @ np.linalg.inv(CELLS[name])
    assert (fractions[..., pbc] > -1e-12).all()
    assert (fractions[..., pbc] < 1 + 1e-12).all()
    assert np.abs(np.diff(inside.positions, axis=0)).max() > 2.0
    formats.write(inside, tmp_path / "x.h5")
    read = formats.read(tmp_path / "x.h5")
    expected = free.positions - free.positions[0] + inside.positions[0]
    np.testing.assert_allclose(read.positions, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(read.velocities, free.velocities)


def test_unwrapped_positions_stay_bit_for_bit(tmp_path):
    free = drifting(CELLS["triclinic"])
    formats.write(free, tmp_path / "x.h5")
    np.testing.assert_array_equal(formats.read(tmp_path / "x.h5").positions, free.positions)


@settings(max_examples=40, deadline=None)
@given(spans=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=6))
def test_any_order_of_reading_gives_the_same_positions(tmp_path_factory, spans):
    folder = tmp_path_factory.mktemp("order")
    free = drifting(CELLS["triclinic"])
    parts = replace(
        free,
        positions=wrapped(free.positions, free.system),
        segments=(Segment(0, 90, 1.0), Segment(90, 1, 1.0), Segment(91, 109, 1.0)),
    )
    formats.write(parts, folder / "x.h5")
    whole = formats.read(folder / "x.h5").positions
    with formats.open_reader(folder / "x.h5") as reader:
        assert isinstance(reader, UnwrappedReader)
        for span in spans:
            start, stop = sorted(span)
            np.testing.assert_array_equal(reader.read(start, stop).positions, whole[start:stop])


def test_each_segment_begins_where_it_is(tmp_path):
    free = drifting(CELLS["orthorhombic"])
    inside = wrapped(free.positions, free.system)
    formats.write(
        replace(free, positions=inside, segments=(Segment(0, 100, 1.0), Segment(100, 100, 1.0))), tmp_path / "x.h5"
    )
    read = formats.read(tmp_path / "x.h5").positions
    np.testing.assert_array_equal(read[100], inside[100])
    np.testing.assert_allclose(np.diff(read[100:], axis=0), np.diff(free.positions[100:], axis=0), atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_a_molecule_that_the_boundary_cuts_is_made_whole(tmp_path, name):
    cell = 3.0 * CELLS[name]
    rest = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [1.2, 1.2, 0.0], [2.4, 1.2, 0.3]])
    steps = np.cumsum(np.random.default_rng(0).normal(0, 0.02, (30, 4, 3)), axis=0)
    whole = Trajectory.uniform(replace(system(cell), atomic_numbers=np.array([6, 6, 6, 6])), rest + steps, 1.0)
    cut = replace(whole, positions=wrapped(whole.positions, whole.system))
    assert np.ptp(cut.positions[0], axis=0).max() > 3.5
    formats.write(cut, tmp_path / "x.h5")
    read = formats.read(tmp_path / "x.h5", declared=Declared(drop_cell=True))
    assert not read.system.pbc.any()
    assert not read.system.cell.any()
    moved = read.positions - whole.positions
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0], moved.shape), rtol=0, atol=1e-12)


def test_a_whole_molecule_is_not_moved():
    rest = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [1.2, 1.2, 0.0], [2.4, 1.2, 0.3]])
    np.testing.assert_array_equal(in_one_piece(rest, system(np.diag([20.0, 20.0, 20.0]))), np.zeros((4, 3)))


def test_thinning_wraps_as_asked(tmp_path):
    free = drifting(CELLS["triclinic"])
    formats.write(free, tmp_path / "x.h5")
    thin(tmp_path / "x.h5", tmp_path / "wrapped.h5", Thinning(4, wrap=True))
    thin(tmp_path / "x.h5", tmp_path / "free.h5", Thinning(4))
    import h5py

    with h5py.File(tmp_path / "wrapped.h5") as file:
        stored = file["particles/atoms/position/value"][:]
    np.testing.assert_allclose(stored, wrapped(free.positions[::4], free.system), atol=1e-12)
    assert (formats.read(tmp_path / "free.h5").positions == free.positions[::4]).all()
    np.testing.assert_allclose(formats.read(tmp_path / "wrapped.h5").system.cell, CELLS["triclinic"])
    alone = replace(free, system=System.from_atomic_numbers([18] * 4))
    formats.write(alone, tmp_path / "alone.h5")
    with pytest.raises(DataError, match="cannot be wrapped: the system has no periodic cell; leave --wrap out"):
        thin(tmp_path / "alone.h5", tmp_path / "y.h5", Thinning(4, wrap=True))
    assert not list(tmp_path.glob("y*"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (np.zeros((3, 3)), "periodic along a cell vector that is zero"),
        (np.array([[4.0, 0, 0], [8.0, 0, 0], [0, 0, 5.0]]), "lie in a plane"),
        (np.diag([4.0, np.nan, 5.0]), "NaN or infinity"),
    ],
)
def test_cells_that_cannot_be(cell, message):
    with pytest.raises(DataError, match=message):
        inverse_cell(system(cell))


def test_a_slab_needs_no_third_vector():
    slab = system(np.array([[4.0, 0, 0], [1.0, 5.0, 0], [0, 0, 0]]), (True, True, False))
    positions = np.array([[[5.0, -1.0, 30.0]] * 4])
    np.testing.assert_allclose(wrapped(positions, slab)[0, 0], [2.0, 4.0, 30.0])
