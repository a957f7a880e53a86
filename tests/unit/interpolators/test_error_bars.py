"""Error bars: coverage on windows that were not calibrated on, and their form between the frames."""

from __future__ import annotations

import pytest
import torch

from neuralmd.errors import ConfigError, DataError
from neuralmd.interpolators.error_bars import ErrorBars, Residuals
from neuralmd.system import System

SYSTEM = System.from_atomic_numbers([8, 1, 1])
STRIDE = 10


def residuals(windows: int, seed: int) -> Residuals:
    """Errors that grow towards the middle, differ by element, and follow the guess only in part."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.arange(1, STRIDE) / STRIDE
    shape = (s * (1 - s))[:, None, None, None] * torch.tensor([1.0, 3.0, 3.0])[:, None]
    size = torch.rand((1, windows, 1, 1), generator=generator) + 0.2
    draws = torch.randn((2, STRIDE - 1, windows, 3, 3), generator=generator, dtype=torch.float64)
    guesses = (shape * size * draws[1].roll(1, 2)).square().mean(-1)
    return Residuals(shape * (size * draws[0] + 0.1 * draws[1]), guesses, windows)


@pytest.fixture
def bars() -> ErrorBars:
    bars = ErrorBars(SYSTEM, (5, STRIDE), 0.5)
    bars.calibrate(STRIDE, residuals(2000, 0))
    return bars


def test_coverage_at_every_position_and_for_every_element(bars: ErrorBars) -> None:
    fresh = residuals(4000, 1)
    s = torch.arange(1, STRIDE) / STRIDE
    inside = (fresh.errors.abs() <= bars(STRIDE * 0.5, s, fresh.guesses)[..., None]).double()
    for atoms in ([0], [1, 2]):
        coverage = inside[:, :, atoms].mean((1, 2, 3))
        assert ((coverage - 0.9).abs() < 0.02).all()
    whole = fresh.errors.square().mean((-1, -2)).sqrt() <= bars.of_frames(STRIDE * 0.5, s, fresh.guesses)
    assert ((whole.double().mean(1) - 0.9).abs() < 0.02).all()


def test_few_windows_make_wide_bars() -> None:
    """Windows that overlap are worth fewer: nine of ten future windows are covered on average over calibrations."""
    s, hidden = torch.arange(1, STRIDE) / STRIDE, 0.0
    for seed in range(60):
        few = residuals(10, seed)
        copies = Residuals(few.errors.repeat(1, 8, 1, 1), few.guesses.repeat(1, 8, 1), 10)
        bars = ErrorBars(SYSTEM, (STRIDE,), 0.5)
        bars.calibrate(STRIDE, copies)
        fresh = residuals(100, 1000 + seed)
        hidden += float((fresh.errors.abs() <= bars(STRIDE * 0.5, s, fresh.guesses)[..., None]).double().mean()) / 60
    assert 0.9 <= hidden < 0.98


def test_a_larger_guess_widens_the_bar_and_anchors_have_none(bars: ErrorBars) -> None:
    s = torch.linspace(0, 1, 7)
    near = bars(5.0, s, torch.full((7, 1, 3), 1e-4))
    far = bars(5.0, s, torch.full((7, 1, 3), 0.25))
    assert (far[1:-1] > near[1:-1]).all()
    assert (near[[0, -1]] == 0).all()
    assert (far[[0, -1]] == 0).all()


def test_the_calibration_is_saved_with_the_model(bars: ErrorBars) -> None:
    loaded = ErrorBars(SYSTEM, (5, STRIDE), 0.5)
    assert loaded.known(5.0) is None
    loaded.load_state_dict(bars.state_dict())
    s, apart = torch.linspace(0, 1, 4), torch.rand(4, 2, 3)
    assert torch.equal(loaded(5.0, s, apart), bars(5.0, s, apart))


def test_what_was_not_calibrated_is_refused(bars: ErrorBars) -> None:
    with pytest.raises(DataError, match=r"not calibrated for gaps of 2\.5 fs"):
        bars(2.5, torch.tensor([0.5]), torch.zeros(1, 1, 3))
    with pytest.raises(DataError, match="strides 5, 10, but 7 came"):
        bars.calibrate(7, residuals(100, 0))
    with pytest.raises(DataError, match="at least 9 windows"):
        bars.calibrate(STRIDE, residuals(5, 0))
    with pytest.raises(ConfigError, match="level"):
        ErrorBars(SYSTEM, (5,), 0.5, level=1.0)
