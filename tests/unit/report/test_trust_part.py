"""Flags and error bars of a rebuilt file in a report: counted over the whole file, explained, and drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuralmd.data.formats import open_reader, write
from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.data.trust import Flag, Trust
from neuralmd.report.html.flags import GapTrust
from neuralmd.report.html.trust import TrustPart
from neuralmd.report.html.trust_chart import TrustChart
from neuralmd.system import System

STRIDE, STEP = 5, 0.5
WATER = System.from_atomic_numbers([8, 1, 1])
PLACE = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
FLAGS = np.array([0, 1, 1, 3, 0, 4, 8, 8, 8, 12], dtype=np.uint8)
"""Of six gaps of the first segment and four of the second."""
BARS = np.array([1e-3, 4e-3, 6e-3, np.nan, 2e-3, 1e-3, 1e-3, 1e-3, 3e-3, 1e-3])


def woven(values: np.ndarray, known: float, gaps: tuple[int, ...]) -> np.ndarray:
    """One value for the hidden frames of each gap, and `known` at the anchors."""
    every, first = [], 0
    for count in gaps:
        frames = np.repeat(values[first : first + count, None], STRIDE, axis=1)
        frames[:, 0] = known
        every += [frames.reshape(-1), [known]]
        first += count
    return np.concatenate(every)


@pytest.fixture(scope="module")
def rebuilt() -> Trajectory:
    """Two segments; one atom is far away in the sixth gap, and the second segment's last anchors are hot."""
    rng, gaps = np.random.default_rng(0), (6, 4)
    frames = 10 * STRIDE + 2
    positions = PLACE + rng.normal(0.0, 0.01, (frames, 3, 3))
    velocities = rng.normal(0.0, 0.01, (frames, 3, 3))
    positions[27, 2] += 1.0
    velocities[31:] *= 10.0
    bars = woven(BARS, 0.0, gaps)
    trust = Trust(
        woven(FLAGS, 0, gaps).astype(np.uint8),
        np.repeat(bars[:, None], 3, axis=1).astype(np.float32),
        bars.astype(np.float32),
    )
    told = {"max_error_A": "0.003", "error_bar_level": "0.9", "compared_with_training_data": "yes"}
    length = 6 * STRIDE + 1
    segments = (Segment(0, length, STEP), Segment(length, frames - length, STEP))
    return Trajectory(WATER, positions, segments, velocities=velocities, metadata=told, trust=trust)


@pytest.fixture(scope="module")
def seen() -> Seen:
    rng = np.random.default_rng(1)
    return Seen.of(WATER, PLACE + rng.normal(0.0, 0.02, (4000, 3, 3)), rng.normal(0.0, 0.01, (4000, 3, 3)))


@pytest.fixture(params=[".h5", ".npz", ".extxyz"])
def file(request: pytest.FixtureRequest, rebuilt: Trajectory, tmp_path: Path) -> Path:
    path = tmp_path / f"rebuilt{request.param}"
    write(rebuilt, path)
    return path


def test_gaps_of_a_file(file: Path) -> None:
    with open_reader(file) as reader:
        found = GapTrust.of(reader, STRIDE)
        assert found is not None
        part = reader.trust(3, 8)
        whole = reader.read(3, 8).trust
    assert part is not None
    assert whole is not None
    np.testing.assert_array_equal(part.flags, whole.flags)
    np.testing.assert_array_equal(found.flags, FLAGS)
    np.testing.assert_allclose(found.bars, BARS, rtol=1e-6)
    np.testing.assert_array_equal(found.starts, [*range(0, 30, 5), *range(31, 51, 5)])
    assert (found.limit, found.level, found.compared) == (0.003, 0.9, True)
    assert [found.count(flag) for flag in Flag] == [3, 1, 2, 4]
    assert found.flagged == 8
    assert found.worst == 2
    stretches = [(each.segment, each.start, each.gaps, int(each.flags)) for each in found.stretches()]
    assert stretches == [(0, 5, 2, 1), (0, 15, 1, 3), (0, 25, 1, 4), (1, 31, 3, 8), (1, 46, 1, 12)]


def test_a_file_that_says_nothing(rebuilt: Trajectory, tmp_path: Path) -> None:
    write(replace(rebuilt, trust=None), tmp_path / "bare.h5")
    with open_reader(tmp_path / "bare.h5") as reader:
        assert reader.trust(0, 5) is None
        assert GapTrust.of(reader, STRIDE) is None


def part_of(path: Path, seen: Seen | None) -> TrustPart:
    with open_reader(path) as reader:
        trust = GapTrust.of(reader, STRIDE)
        assert trust is not None
        return TrustPart.of(reader, trust, path.name, seen, range(1, 3))


def test_what_the_part_says(file: Path, seen: Seen) -> None:
    part = part_of(file, seen)
    assert part.text.startswith(
        f"8 of the 10 gaps of {file.name} carry a flag. The error bar of a frame (90%) rises to"
    )
    assert [kind.gaps for kind in part.kinds] == ["3 (30%)", "1 (10%)", "2 (20%)", "4 (40%)"]
    assert part.tile.value == "2 of 10"
    whens, counts, bars, whys = zip(*part.rows, strict=True)
    assert whens[:2] == ("segment 1, 2.5 – 7.5 fs", "segment 1, 7.5 – 10 fs")
    assert whens[3] == "segment 2, 0 – 7.5 fs"
    assert counts == ("2", "1", "1", "3", "1")
    assert bars == ("6.00 mÅ", "none", "1.00 mÅ", "3.00 mÅ", "1.00 mÅ")
    assert whys[0] == "error bar above 3.00 mÅ, up to 6.00 mÅ"
    assert whys[1] == "error bar above 3.00 mÅ; filled by a spline in place of the model"
    assert "H2 " in whys[2]
    assert " Å apart, trained on " in whys[2]
    assert f"K, trained on {seen.coldest:.0f} to {seen.hottest:.0f} K" in whys[3]


def test_without_the_training_data_reasons_are_general(file: Path) -> None:
    whys = [why for *_, why in part_of(file, None).rows]
    assert whys[2] == "a distance between two atoms that was not in the training data"
    assert whys[3] == "a known frame hotter or colder than the training data"


def chart(flags: np.ndarray, bars: np.ndarray, limit: float | None = 3e-3, shown: range = range(2)) -> TrustChart:
    gaps = len(flags)
    whole = (Segment(0, gaps * STRIDE + 1, STEP),)
    starts = STRIDE * np.arange(gaps)
    trust = GapTrust(STRIDE, whole, starts, flags.astype(np.uint8), bars.astype(np.float32), limit, 0.9, compared=True)
    return TrustChart.of(trust, shown)


def test_the_chart_shows_every_flag_of_a_long_file() -> None:
    """A single gap among 100,000 is still wide enough to be seen, and the highest bar of many is the one drawn."""
    gaps = 100_000
    flags, bars = np.zeros(gaps), np.full(gaps, 1e-3)
    flags[70_000], bars[70_000] = 1, 9e-3
    drawn = chart(flags, bars)
    (lane,) = drawn.lanes
    ((x, width),) = lane.marks
    assert width >= 2.0
    span = drawn.right - drawn.left
    assert (x - drawn.left) / span == pytest.approx(0.7, abs=0.01)
    assert max(height for *_, height in drawn.columns) > 2 * np.median([height for *_, height in drawn.columns])
    assert len(drawn.columns) < 400
    assert drawn.limit is not None
    assert min(y for _, y, _, _ in drawn.columns) < drawn.limit < drawn.base
    assert drawn.times[-1][0] <= drawn.right + 1e-6
    assert drawn.times[0][1] == "0 ps"
    assert len(drawn.levels) >= 3


def test_a_chart_without_bars_or_of_one_gap() -> None:
    bare = chart(np.array([0, 4, 0]), np.full(3, np.nan))
    assert (bare.columns, list(bare.levels), bare.limit) == ([], [], None)
    assert [lane.label for lane in bare.lanes] == ["distance"]
    one = chart(np.array([0]), np.array([1e-3]), shown=range(1))
    assert (len(one.columns), one.lanes, one.shown) == (1, [], None)
    equal = chart(np.zeros(4), np.full(4, 1e-3), limit=None)
    assert len(equal.columns) == 4
    assert all(height > 0 for *_, height in equal.columns)
