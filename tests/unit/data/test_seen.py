"""What a model was trained on: no alarm on what is like it, an alarm on what is not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from neuralmd.data.molecules import molecule
from neuralmd.data.pair_classes import PairClasses
from neuralmd.data.seen import Seen, distances
from neuralmd.data.tally import temperatures
from neuralmd.data.trajectory import Trajectory
from neuralmd.errors import DataError
from neuralmd.interpolators.doubts import Doubts
from neuralmd.interpolators.watching import against_training
from neuralmd.system import System
from neuralmd.units import BOLTZMANN, KINETIC_ENERGY

ETHANOL = molecule("ethanol")
SYSTEM = System.from_atomic_numbers(ETHANOL.numbers)


def shaken(start: np.ndarray, frames: int, seed: int, width: float = 0.03) -> np.ndarray:
    return start + np.random.default_rng(seed).normal(0, width, (frames, *start.shape))


def thermal(frames: int, kelvin: float, seed: int) -> np.ndarray:
    speed = np.sqrt(BOLTZMANN * kelvin / KINETIC_ENERGY / SYSTEM.masses)[:, None]
    return np.random.default_rng(seed).normal(0, 1, (frames, SYSTEM.atoms, 3)) * speed


def temperatures_at(kelvin: float) -> np.ndarray:
    return temperatures(shaken(ETHANOL.positions, 1000, 2), thermal(1000, kelvin, 3), SYSTEM)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen.of(SYSTEM, shaken(ETHANOL.positions, 3000, 0), thermal(3000, 500.0, 0))


def hydroxyl() -> tuple[int, int, int]:
    """The hydrogen on oxygen, the oxygen, and the carbon beside it."""
    far = ETHANOL.get_all_distances()
    oxygen = SYSTEM.symbols.index("O")
    others = np.argsort(far[oxygen])[1:3]
    hydrogen, carbon = sorted(others.tolist(), key=lambda atom: SYSTEM.atomic_numbers[atom])
    return hydrogen, oxygen, carbon


def test_equivalent_atoms_are_one_kind() -> None:
    first, second = np.triu_indices(SYSTEM.atoms, 1)
    far = np.zeros((SYSTEM.atoms, SYSTEM.atoms))
    far[first, second] = distances(ETHANOL.positions[None], SYSTEM, first, second)[0]
    pairs = PairClasses.of(SYSTEM, far + far.T)
    oxygen = SYSTEM.symbols.index("O")
    to_oxygen = {}
    for i, j, kind in zip(pairs.first, pairs.second, pairs.index, strict=True):
        if oxygen in {i, j}:
            to_oxygen.setdefault(int(kind), []).append(SYSTEM.symbols[i if j == oxygen else j])
    assert sorted("".join(atoms) for atoms in to_oxygen.values()) == ["C", "C", "H", "HH", "HHH"]


def test_no_alarm_on_more_of_the_same_nor_on_a_turned_methyl_group(seen: Seen) -> None:
    more = shaken(ETHANOL.positions, 2000, 1)
    flags, worst = seen.strange(more)
    assert flags.mean() < 0.005
    far = ETHANOL.get_all_distances()
    oxygen = SYSTEM.symbols.index("O")
    methyl = max((a for a in range(SYSTEM.atoms) if SYSTEM.symbols[a] == "C"), key=lambda a: far[oxygen, a])
    three = [a for a in np.argsort(far[methyl]) if SYSTEM.symbols[a] == "H"][:3]
    swapped = more.copy()
    swapped[:, three] = more[:, [three[1], three[2], three[0]]]
    np.testing.assert_array_equal(seen.strange(swapped)[0], flags)
    assert seen.unusual(temperatures_at(500.0)).mean() < 0.005
    assert worst is None or worst.excess > seen.margin


def test_a_bond_that_breaks_is_named(seen: Seen) -> None:
    hydrogen, oxygen, _ = hydroxyl()
    frames = np.repeat(ETHANOL.positions[None], 30, axis=0)
    bond = frames[0, hydrogen] - frames[0, oxygen]
    frames[:, hydrogen] += np.linspace(0.0, 2.0, 30)[:, None] * bond
    flags, worst = seen.strange(frames)
    assert not flags[0]
    assert flags[10:].all()
    assert worst is not None
    last = int(np.abs(seen.excess(frames[-1:])).argmax())
    assert {worst.first, worst.second} == {int(seen.pairs.first[last]), int(seen.pairs.second[last])}
    assert worst.lowest < worst.highest < worst.distance
    stretched = frames[15, hydrogen] - frames[15, oxygen]
    pair = [
        k for k in range(len(seen.pairs.index)) if {seen.pairs.first[k], seen.pairs.second[k]} == {hydrogen, oxygen}
    ]
    assert np.linalg.norm(stretched) > seen.highest[seen.pairs.index[pair[0]]]


def test_another_conformer_and_a_hotter_ensemble(seen: Seen) -> None:
    hydrogen, oxygen, carbon = hydroxyl()
    other = ETHANOL.copy()
    neighbour = next(
        a for a in np.argsort(other.get_all_distances()[carbon])[1:] if SYSTEM.symbols[a] == "C" and a != carbon
    )
    angle = other.get_dihedral(hydrogen, oxygen, carbon, neighbour)
    other.set_dihedral(hydrogen, oxygen, carbon, neighbour, angle + 120.0, indices=[hydrogen])
    assert seen.strange(shaken(other.positions, 200, 4))[0].mean() > 0.99
    assert seen.unusual(temperatures_at(1500.0)).mean() > 0.5
    assert seen.unusual(np.array([np.nan, 0.0])).all()


def test_a_validation_part_that_goes_farther_widens_the_limits(seen: Seen) -> None:
    more, hotter = shaken(ETHANOL.positions, 500, 6, width=0.036), thermal(500, 700.0, 6)
    assert seen.strange(more)[0].any()
    wider = seen.widened(more, hotter)
    assert seen.margin < wider.margin <= 0.5
    assert wider.hottest > seen.hottest
    assert not wider.strange(more)[0].any()
    assert not wider.unusual(temperatures(more, hotter, SYSTEM)).any()
    far = seen.widened(shaken(ETHANOL.positions, 50, 6, width=1.0), None)
    assert (far.margin, far.hottest) == (0.5, seen.hottest)
    assert seen.widened(shaken(ETHANOL.positions, 5, 7, width=0.001), None).margin == seen.margin


def test_packing_and_what_is_not_its_own(seen: Seen) -> None:
    again = Seen.unpack(seen.pack(), SYSTEM)
    frames = shaken(ETHANOL.positions, 20, 5, width=0.2)
    np.testing.assert_array_equal(again.excess(frames), seen.excess(frames))
    assert (again.coldest, again.hottest, again.frames, again.margin) == (seen.coldest, seen.hottest, 3000, 0.1)
    with pytest.raises(DataError, match="other atoms"):
        Seen.unpack(seen.pack(), System.from_atomic_numbers([8, 1, 1]))
    with pytest.raises(DataError, match="not told as expected"):
        Seen.unpack({}, SYSTEM)
    assert not Seen.of(SYSTEM, frames, None).unusual(np.array([0.0, 1e9])).any()
    assert again.another_ensemble(700.0, 100)
    earlier = {name: value for name, value in seen.pack().items() if name != "ensemble"}
    assert not Seen.unpack(earlier, SYSTEM).another_ensemble(700.0, 100)


def test_the_mean_temperature_tells_an_ensemble_whose_frames_are_usual(seen: Seen) -> None:
    """At 700 K, nearly every frame is as hot as some frame at 500 K."""
    x, v = shaken(ETHANOL.positions, 61, 8), thermal(61, 700.0, 8)
    assert seen.unusual(temperatures(x, v, SYSTEM)).mean() < 0.1
    told = {}
    for kelvin, speed in ((500, np.sqrt(5 / 7)), (700, 1.0)):
        known = Trajectory.uniform(SYSTEM, x, 10.0, velocities=speed * v)
        _, found = against_training(seen, known, range(60), np.repeat(x[:-1], 2, axis=0))
        doubts = Doubts(gaps=60).plus(found, seen)
        told[kelvin] = (doubts.unlike(seen), doubts.about_training(seen))
    assert told[500] == (False, "training data: all 60 gaps are within what the model has seen")
    assert told[700][0]
    assert re.search(r"; known frames are at [67]\d\d K on average, training data at (49|50)\d K", told[700][1])
    assert not seen.another_ensemble(700.0, 1)
    assert not seen.another_ensemble(600.0, 10_000)


def test_images_across_a_periodic_cell_and_a_single_atom() -> None:
    box = System(np.array([8, 1]), np.array([16.0, 1.0]), 5.0 * np.eye(3), np.ones(3, dtype=bool))
    near, far = np.array([[0.1, 0, 0], [4.9, 0, 0]]), np.array([[0.1, 0, 0], [0.3, 0, 0]])
    one = np.array([0]), np.array([1])
    np.testing.assert_allclose(distances(np.stack((near, far)), box, *one), [[0.2], [0.2]])
    alone = System.from_atomic_numbers([18])
    seen = Seen.of(alone, np.zeros((5, 1, 3)), None)
    flags, worst = seen.strange(np.ones((3, 1, 3)))
    assert not flags.any()
    assert worst is None
