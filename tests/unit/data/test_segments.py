from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuralmd.data.segments import clip, from_lengths, from_times, settle
from neuralmd.data.trajectory import Segment
from neuralmd.errors import DataError

FILE = Path("x.xyz")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (0.5 * np.arange(10) + 3, [(0, 10, 0.5)]),
        (np.arange(10, dtype=np.float32) * np.float32(0.5) + np.float32(1e5), [(0, 10, 0.5)]),
        (np.round(0.60472 * np.arange(100), 2), [(0, 100, 0.60474747)]),
        (np.r_[0:5, 10:15].astype(float), [(0, 5, 1.0), (5, 5, 1.0)]),
        (np.r_[0:5, 0:5].astype(float), [(0, 5, 1.0), (5, 5, 1.0)]),
        (np.array([0, 1, 2, 3, 4, 6, 8, 10, 12.0]), [(0, 5, 1.0), (5, 4, 2.0)]),
        (np.array([0, 1, 2, 3, 3.4, 5, 6, 7, 8, 9, 10, 11.0]), [(0, 4, 1.0), (4, 2, 1.6), (6, 6, 1.0)]),
    ],
)
def test_segments_from_times(times, expected):
    found = from_times(times, FILE)
    assert found is not None
    assert [(s.start, s.length) for s in found] == [(start, length) for start, length, _ in expected]
    np.testing.assert_allclose([s.timestep for s in found], [step for *_, step in expected], rtol=1e-3)
    assert found[-1].stop == len(times)


def test_times_that_tell_nothing():
    assert from_times(np.array([3.0]), FILE) is None
    with pytest.raises(DataError, match="not uniform in time"):
        from_times(np.cumsum(np.random.default_rng(0).uniform(0.1, 2.0, 100)), FILE)
    with pytest.raises(DataError, match="not finite in frame 2"):
        from_times(np.array([0.0, 1.0, np.nan]), FILE)
    for times in (np.zeros(9), -np.arange(9.0)):
        with pytest.raises(DataError, match=r"x.xyz (is not uniform|has times that do not increase)"):
            from_times(times, FILE)


def test_settle():
    own = (Segment(0, 4, 0.5),)
    assert settle(own, None, 4, FILE) == settle(own, 0.5004, 4, FILE) == own
    assert settle(None, 2.0, 4, FILE) == (Segment(0, 4, 2.0),)
    with pytest.raises(DataError, match=r"--timestep 0.5 .* data.timestep=0.5"):
        settle(None, None, 4, FILE)
    with pytest.raises(DataError, match="states a time step"):
        settle(own, 0.51, 4, FILE)
    with pytest.raises(DataError, match="do not fit"):
        settle(own, None, 5, FILE)
    with pytest.raises(DataError, match="no frames"):
        settle(None, 1.0, 0, FILE)
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="positive and finite"):
            settle(None, wrong, 4, FILE)


def test_clip():
    segments = from_lengths([4, 3, 5], [1.0, 1.0, 2.0])
    assert clip(segments, 0, 12) == segments
    assert clip(segments, 2, 8) == (Segment(0, 2, 1.0), Segment(2, 3, 1.0), Segment(5, 1, 2.0))
    assert clip(segments, 4, 4) == ()
