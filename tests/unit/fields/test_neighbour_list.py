"""The neighbour list against a search through all images, and when it is made anew."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neuralmd.errors import DataError
from neuralmd.fields.neighbour_list import Edges, VerletList, typical_neighbours
from neuralmd.fields.vicinity import vicinities
from neuralmd.system import System

CELLS = {
    "none": (np.zeros((3, 3)), (False, False, False)),
    "cube": (5.0 * np.eye(3), (True, True, True)),
    "box": (np.diag([3.0, 7.0, 12.0]), (True, True, True)),
    "triclinic": (np.array([[5.0, 0.0, 0.0], [2.4, 4.5, 0.0], [-2.0, 1.7, 4.2]]), (True, True, True)),
    "slab": (np.array([[4.0, 0.0, 0.0], [1.9, 4.0, 0.0], [0.0, 0.0, 30.0]]), (True, True, False)),
    "chain": (np.diag([4.0, 0.0, 0.0]), (True, False, False)),
}
CUTOFF = 4.3


def system(name: str, atoms: int) -> System:
    cell, pbc = CELLS[name]
    return System(np.ones(atoms, dtype=np.int64), np.ones(atoms), cell, np.array(pbc))


def every_pair(positions: Tensor, name: str, cutoff: float) -> set[tuple[int, ...]]:
    """(i, j, n) of all pairs closer than the cutoff, by trying every image that can be."""
    cell, pbc = CELLS[name]
    full = np.where(np.array(pbc)[:, None], cell, 100.0 * np.eye(3))
    home = np.where(pbc, np.floor(positions.numpy() @ np.linalg.inv(full)), 0.0)
    inside = positions.numpy() - home @ full
    images = np.array(list(itertools.product(*[range(-3, 4) if each else [0] for each in pbc])))
    apart = np.linalg.norm(inside + (images @ full)[:, None, None] - inside[:, None], axis=-1)
    found = set()
    for image, i, j in np.argwhere(apart < cutoff):
        if i != j or images[image].any():
            found.add((i, j, *(images[image] - home[j] + home[i]).astype(int).tolist()))
    return found


def listed(edges: Edges, positions: Tensor, name: str, atoms: int) -> list[set[tuple[int, ...]]]:
    """(i, j, n) of the pairs of each configuration that are within the cutoff."""
    cell, pbc = CELLS[name]
    full = np.where(np.array(pbc)[:, None], cell, 100.0 * np.eye(3))
    images = np.rint(edges.shifts.numpy() @ np.linalg.inv(full)).astype(int)
    flat = positions.flatten(0, 1)
    near = (flat[edges.neighbours] - flat[edges.centres] + edges.shifts).norm(dim=1) < CUTOFF
    found: list[set[tuple[int, ...]]] = [set() for _ in positions]
    for i, j, n, inside in zip(edges.centres.tolist(), edges.neighbours.tolist(), images, near.tolist(), strict=True):
        assert i // atoms == j // atoms
        if inside:
            pair = (i % atoms, j % atoms, *n.tolist())
            assert pair not in found[i // atoms]
            found[i // atoms].add(pair)
    return found


@pytest.mark.parametrize("name", list(CELLS))
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), atoms=st.integers(1, 6))
def test_every_image_within_the_cutoff_is_found_once(name: str, seed: int, atoms: int) -> None:
    """Also where the cutoff is longer than the cell, and where atoms have left it far behind."""
    generator = torch.Generator().manual_seed(seed)
    positions = 4.0 * torch.randn(2, atoms, 3, generator=generator, dtype=torch.float64)
    edges = VerletList(system(name, atoms), CUTOFF)(positions)
    assert bool((edges.centres.diff() >= 0).all())
    for one, found in zip(positions, listed(edges, positions, name, atoms), strict=True):
        assert found == every_pair(one, name, CUTOFF)


@pytest.mark.parametrize("name", ["none", "triclinic"])
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), step=st.floats(0.01, 0.6))
def test_a_list_is_never_stale(name: str, seed: int, step: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    positions = 3.0 * torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    kept = VerletList(system(name, 5), CUTOFF)
    for _ in range(12):
        for one, found in zip(positions, listed(kept(positions), positions, name, 5), strict=True):
            assert found == every_pair(one, name, CUTOFF)
        positions = positions + step * torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)


def test_only_what_has_moved_far_is_searched_again() -> None:
    kept = VerletList(system("cube", 4), CUTOFF, skin=1.0)
    positions = torch.rand(3, 4, 3, dtype=torch.float64)
    first = kept(positions)
    near = positions.clone()
    near[:, 0, 0] += 0.49
    assert kept(near) is first
    far = near.clone()
    far[1, 0, 0] += 0.1
    second = kept(far)
    assert second is not first
    back = far.clone()
    back[0] = positions[0]
    # The list of configuration 0 is still that of the first positions, that of 1 that of the new ones.
    assert kept(back) is second
    assert kept(back.float()) is not second
    assert kept(back[:2]).centres.max() < 8


@pytest.mark.parametrize("name", ["none", "cube"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e20])
def test_a_lost_atom_shows_and_harms_no_other_configuration(name: str, bad: float) -> None:
    positions = torch.rand(2, 3, 3, dtype=torch.float64)
    kept = VerletList(system(name, 3), CUTOFF)
    sound = kept(positions)
    positions[0, 1, 2] = bad
    edges = kept(positions)
    assert bool(edges.shifts[edges.centres < 3].isnan().all())
    assert torch.equal(edges.neighbours[edges.centres >= 3], sound.neighbours[sound.centres >= 3])


def test_a_flat_cell_is_refused() -> None:
    flat = System(np.ones(2, dtype=np.int64), np.ones(2), np.ones((3, 3)), np.ones(3, dtype=bool))
    with pytest.raises(DataError, match="plane"):
        VerletList(flat, 3.0)


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
def test_vicinities_hold_the_pairs_within_the_cutoff_and_padding_without_direction(at_once: int) -> None:
    torch.manual_seed(0)
    positions = 6.0 * torch.rand(2, 20, 3, dtype=torch.float64)
    positions[1, 3] += 50.0  # an atom without neighbours
    edges = VerletList(system("none", 20), 2.5)(positions)
    flat = positions.flatten(0, 1)
    around = vicinities(edges, flat, 2.5, at_once)
    assert torch.equal(torch.cat([part.centres for part in around.parts])[around.places], torch.arange(40))
    distances = torch.cdist(flat, flat).fill_diagonal_(9.0)
    distances[:20, 20:] = distances[20:, :20] = 9.0
    found = set()
    for part in around.parts:
        pairs = part.pairs(flat, 2)
        assert bool((pairs.distances[0][part.padding == 1] == 1).all())
        assert bool((pairs.directions[0].transpose(1, 2)[part.padding == 1] == 0).all())
        for row, column in (part.padding == 0).nonzero().tolist():
            i, j = int(part.centres[row]), int(part.neighbours[row, column])
            found.add((i, j))
            assert float(pairs.distances[0, row, column]) == pytest.approx(float(distances[i, j]))
    assert found == {(i, j) for i, j in (distances < 2.5).nonzero().tolist()}


def test_the_usual_number_of_neighbours() -> None:
    assert typical_neighbours(System.from_atomic_numbers([6] * 12), 6.0) == 12
    assert typical_neighbours(System.from_atomic_numbers([6] * 1000), 6.0) == pytest.approx(90.5, rel=1e-3)
    assert typical_neighbours(system("cube", 4), 3.0) == pytest.approx(4 / 125 * 4 / 3 * np.pi * 27)
    assert typical_neighbours(system("cube", 4), 6.0) == pytest.approx(8 * typical_neighbours(system("cube", 4), 3.0))
