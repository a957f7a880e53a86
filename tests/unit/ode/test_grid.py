from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from neuralmd.ode.grid import uniform_grid


@given(
    start=st.floats(-100.0, 100.0),
    parts=st.lists(st.floats(0.01, 5.0), min_size=1, max_size=8),
    step=st.floats(0.05, 10.0),
    sign=st.sampled_from([1.0, -1.0]),
)
def test_the_grid_runs_from_end_to_end_in_steps_that_are_short_enough(start, parts, step, sign):
    times = start + sign * torch.tensor([0.0, *parts], dtype=torch.float64).cumsum(0)
    grid = uniform_grid(times, step)
    steps = sign * grid.diff()
    assert grid[0] == times[0]
    assert grid[-1] == times[-1]
    assert bool((steps > 0).all())
    assert float(steps.max()) <= step * (1 + 1e-4)
    assert len(grid) - 1 <= max(1.0, float(abs(times[-1] - times[0])) / step + 1)


def test_queries_on_the_grid_are_on_it_bit_for_bit():
    times = (0.1 * torch.arange(31, dtype=torch.float32)).double()
    grid = uniform_grid(times, 0.05)
    assert len(grid) == 61
    assert torch.equal(grid[::2], times)


def test_queries_between_the_steps_do_not_move_it():
    times = torch.tensor([0.0, 0.123, 1.0], dtype=torch.float64)
    assert torch.equal(uniform_grid(times, 0.25), torch.linspace(0.0, 1.0, 5, dtype=torch.float64))
