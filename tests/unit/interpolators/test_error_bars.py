"""Error bars: coverage on windows that were not calibrated on, and their form between the frames."""

from __future__ import annotations

import pytest
import torch

from neuralmd.errors import ConfigError, DataError
from neuralmd.interpolators.error_bars import ErrorBars, Guesses, Residuals
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
    return Residuals(shape * (size * draws[0] + 0.1 * draws[1]), Guesses.without_levels(guesses), windows)


def same(square: float, level: float = 1.0, times: int = 7) -> Guesses:
    return Guesses(torch.full((times, 1, 3), square), torch.full((1,), level))


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
        copies = Residuals(few.errors.repeat(1, 8, 1, 1), Guesses.joined([few.guesses] * 8), 10)
        bars = ErrorBars(SYSTEM, (STRIDE,), 0.5)
        bars.calibrate(STRIDE, copies)
        fresh = residuals(100, 1000 + seed)
        hidden += float((fresh.errors.abs() <= bars(STRIDE * 0.5, s, fresh.guesses)[..., None]).double().mean()) / 60
    assert 0.9 <= hidden < 0.98


def test_windows_that_err_as_a_whole_make_wider_bars_than_windows_whose_atoms_err_each_for_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    whole = torch.rand((1, 20, 1), generator=generator, dtype=torch.float64).expand(STRIDE - 1, 20, 9)
    single = torch.rand((STRIDE - 1, 20, 9), generator=generator, dtype=torch.float64)
    bars = ErrorBars(SYSTEM, (STRIDE,), 0.5)
    for scores, least, most in ((whole, 0.95, 0.95), (single, 0.9, 0.92)):
        covered = (scores <= bars._covering(scores, 20)[:, None, None]).double().mean((1, 2))
        assert ((least - 1e-9 <= covered) & (covered <= most + 1e-9)).all()


def test_a_larger_guess_widens_the_bar_and_anchors_have_none(bars: ErrorBars) -> None:
    s = torch.linspace(0, 1, 7)
    near = bars(5.0, s, same(1e-4))
    far = bars(5.0, s, same(0.25))
    assert (far[1:-1] > near[1:-1]).all()
    assert (near[[0, -1]] == 0).all()
    assert (far[[0, -1]] == 0).all()


def test_the_calibration_is_saved_with_the_model(bars: ErrorBars) -> None:
    loaded = ErrorBars(SYSTEM, (5, STRIDE), 0.5)
    assert loaded.known(5.0) is None
    loaded.load_state_dict(bars.state_dict())
    s, apart = torch.linspace(0, 1, 4), Guesses(torch.rand(4, 2, 3), torch.tensor([0.3, 2.0]))
    assert torch.equal(loaded(5.0, s, apart), bars(5.0, s, apart))


def test_what_was_not_calibrated_is_refused(bars: ErrorBars) -> None:
    with pytest.raises(DataError, match=r"not calibrated for gaps of 2\.5 fs"):
        bars(2.5, torch.tensor([0.5]), same(0.0, times=1))
    with pytest.raises(DataError, match="strides 5, 10, but 7 came"):
        bars.calibrate(7, residuals(100, 0))
    with pytest.raises(DataError, match="at least 9 windows"):
        bars.calibrate(STRIDE, residuals(5, 0))
    with pytest.raises(ConfigError, match="level"):
        ErrorBars(SYSTEM, (5,), 0.5, level=1.0)


def of_levels(levels: torch.Tensor, seed: int) -> Residuals:
    """Errors whose size a gap's level tells, up to a chance of its own, and a guess that tells no more than chance."""
    generator = torch.Generator().manual_seed(seed)
    size = (levels * torch.exp(0.3 * torch.randn(len(levels), generator=generator, dtype=torch.float64))).sqrt()
    shape = (STRIDE - 1, len(levels), 3)
    errors = size[:, None, None] * torch.randn((*shape, 3), generator=generator, dtype=torch.float64)
    guesses = levels[:, None] * torch.rand(shape, generator=generator, dtype=torch.float64)
    return Residuals(errors, Guesses(guesses, levels), len(levels))


def test_a_stretch_where_all_errs_more_is_covered_where_levels_tell_of_it() -> None:
    """Within the calibration's stretch the level hardly varies; later, all errors are twice as large."""
    s = torch.arange(1, STRIDE) / STRIDE
    usual = 0.2 * torch.exp(0.1 * torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    calibration, later = of_levels(usual, 1), of_levels(4.0 * usual, 2)
    covered = []
    for blind in (False, True):
        bars = ErrorBars(SYSTEM, (STRIDE,), 0.5)
        told = [
            Guesses.without_levels(one.guesses.squares.clamp(max=0.2)) if blind else one.guesses
            for one in (calibration, later)
        ]
        bars.calibrate(STRIDE, Residuals(calibration.errors, told[0], 2000))
        covered.append(float((later.errors.abs() <= bars(STRIDE * 0.5, s, told[1])[..., None]).double().mean()))
    assert abs(covered[0] - 0.9) < 0.02
    assert covered[1] < 0.7


def test_bars_of_an_earlier_version_hold_as_they_did(bars: ErrorBars) -> None:
    earlier = {name: value for name, value in bars.state_dict().items() if name != "levelled"}
    loaded = ErrorBars(SYSTEM, (5, STRIDE), 0.5)
    loaded.load_state_dict(earlier)
    s = torch.linspace(0, 1, 7)
    assert torch.equal(loaded(5.0, s, same(0.1, level=30.0)), bars(5.0, s, same(0.1)))
    assert (bars(5.0, s, same(0.1, level=30.0))[1:-1] > bars(5.0, s, same(0.1))[1:-1]).all()
    calibrated_anew = residuals(2000, 0)
    loaded.calibrate(STRIDE, calibrated_anew)
    assert torch.equal(loaded(5.0, s, same(0.1, level=30.0)), bars(5.0, s, same(0.1, level=30.0)))
