"""Error bars and flags that a reconstruction writes beside its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from springs import STEP, STRIDE, SYSTEM, Springs, thermostatted

from neuralmd import reconstruction as package
from neuralmd.data.formats import read, write
from neuralmd.data.seen import Seen
from neuralmd.data.trajectory import Trajectory
from neuralmd.data.trust import Flag
from neuralmd.data.windows import Frames, Part
from neuralmd.errors import ConfigError
from neuralmd.interpolators.bidirectional import BidirectionalODE
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.calibration import calibrate_error_bars, calibrate_inferred_error_bars
from neuralmd.interpolators.error_bars import ErrorBars
from neuralmd.interpolators.shooting import Dynamics
from neuralmd.interpolators.splines import CubicHermite, NaturalCubicSpline
from neuralmd.ode.solvers import VelocityVerlet
from neuralmd.reconstruction import Fallback, Rebuilt, Reconstruction, reconstruct

FIRST, LAST = 3500, 4501
GAPS = (LAST - FIRST) // STRIDE


@pytest.fixture(autouse=True, scope="module")
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def frames(_double_precision: None) -> Frames:
    return thermostatted(0.01)


@pytest.fixture(scope="module")
def truth(frames: Frames) -> np.ndarray:
    return frames.positions[FIRST:LAST].numpy()


@pytest.fixture(scope="module")
def coarse(frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, known = tmp_path_factory.mktemp("coarse") / "coarse.h5", slice(FIRST, LAST, STRIDE)
    positions, velocities = (each[known].numpy() for each in (frames.positions, frames.velocities))
    write(Trajectory.uniform(SYSTEM, positions, STEP * STRIDE, velocities=velocities), path)
    write(Trajectory.uniform(SYSTEM, positions, STEP * STRIDE), path.with_name("bare.h5"))
    return path


@pytest.fixture(scope="module")
def model(frames: Frames) -> BidirectionalODE:
    bars = ErrorBars(SYSTEM, (STRIDE,), STEP)
    model = BidirectionalODE(Springs(), VelocityVerlet(STEP), PowerBlend(3.0), None, bars)
    calibrate_error_bars(model, frames, Part((range(2000, 3500),)))
    return model


@pytest.fixture(scope="module")
def seen(frames: Frames) -> Seen:
    return Seen.of(SYSTEM, frames.positions[:LAST].numpy(), frames.velocities[:LAST].numpy())


def hidden(values: np.ndarray) -> np.ndarray:
    """Those of hidden frames, gap by gap."""
    return values[:-1].reshape(GAPS, STRIDE, *values.shape[1:])[:, 1:]


@pytest.mark.parametrize("suffix", [".h5", ".extxyz", ".npz"])
def test_bars_are_written_and_cover_the_truth(
    tmp_path: Path, coarse: Path, model: BidirectionalODE, truth: np.ndarray, suffix: str
) -> None:
    done = reconstruct(coarse, tmp_path / f"fine{suffix}", Reconstruction(model, STRIDE))
    fine = read(tmp_path / f"fine{suffix}")
    assert fine.trust is not None
    bars, whole = fine.trust.error_bars, fine.trust.frame_error_bars
    assert bars is not None
    assert whole is not None
    assert not bars[::STRIDE].any()
    assert not whole[::STRIDE].any()
    errors = np.abs(fine.positions - truth)
    assert (hidden(errors) <= hidden(bars)[..., None] + 1e-8).mean() == pytest.approx(0.9, abs=0.06)
    rms = np.sqrt((errors**2).mean((1, 2)))
    assert (hidden(rms) <= hidden(whole) + 1e-8).mean() == pytest.approx(0.9, abs=0.08)
    assert not fine.trust.flags.any()
    assert fine.metadata["error_bar_level"] == "0.9"
    assert fine.metadata["compared_with_training_data"] == "no"
    assert done.level == 0.9
    assert done.doubts is not None
    assert done.doubts.bar_sum / done.doubts.bars == pytest.approx(float(hidden(whole).mean()), rel=1e-3)
    assert done.doubts.largest_bar == pytest.approx(float(whole.max()), rel=1e-3)


def test_a_file_without_velocities_gets_bars_of_its_own(
    tmp_path: Path, frames: Frames, coarse: Path, model: BidirectionalODE, truth: np.ndarray
) -> None:
    """Calibrated with velocities that are inferred, they are wider than those for known ones, and cover the truth."""
    stride = 10
    both = BidirectionalODE(
        model.field,
        model.solver,
        model.blend,
        error_bars=ErrorBars(SYSTEM, (stride,), STEP),
        inferred_error_bars=ErrorBars(SYSTEM, (stride,), STEP),
    )
    calibrate_error_bars(both, frames, Part((range(2000, 3500),)))
    calibrate_inferred_error_bars(both, frames, Part((range(2000, 3500),)))
    known = slice(FIRST, LAST, stride)
    for name, velocities in (("bare.h5", None), ("known.h5", frames.velocities[known].numpy())):
        positions = frames.positions[known].numpy()
        write(Trajectory.uniform(SYSTEM, positions, STEP * stride, velocities=velocities), tmp_path / name)
        how = Reconstruction(both, stride, dynamics=Dynamics(SYSTEM, both.field, both.solver))
        assert reconstruct(tmp_path / name, tmp_path / f"fine-{name}", how).level == 0.9
    bare, with_velocities = read(tmp_path / "fine-bare.h5"), read(tmp_path / "fine-known.h5")
    assert bare.metadata["anchor_velocities"] == "inferred"
    assert bare.trust.error_bars.mean() > 1.2 * with_velocities.trust.error_bars.mean()
    hidden_ones = np.arange(len(truth)) % stride != 0
    inside = np.abs(bare.positions - truth) <= bare.trust.error_bars[..., None]
    assert inside[hidden_ones].mean() == pytest.approx(0.9, abs=0.06)


def limit_of(coarse: Path, model: BidirectionalODE, folder: Path) -> tuple[float, np.ndarray]:
    """A limit that some gaps exceed, and which."""
    reconstruct(coarse, folder / "free.h5", Reconstruction(model, STRIDE))
    trust = read(folder / "free.h5").trust
    assert trust is not None
    assert trust.frame_error_bars is not None
    worst = hidden(trust.frame_error_bars).max(1)
    return float(np.median(worst)) * (1 + 1e-6), worst > np.median(worst) * (1 + 1e-6)


def test_gaps_beyond_the_limit_are_marked_or_filled_by_a_spline(
    tmp_path: Path, coarse: Path, model: BidirectionalODE
) -> None:
    limit, beyond = limit_of(coarse, model, tmp_path)
    assert 0 < beyond.sum() < GAPS
    free = read(tmp_path / "free.h5")
    how = Reconstruction(model, STRIDE, max_error=limit)
    marked = reconstruct(coarse, tmp_path / "marked.h5", how)
    fine = read(tmp_path / "marked.h5")
    assert fine.trust is not None
    np.testing.assert_array_equal(fine.positions, free.positions)
    np.testing.assert_array_equal(hidden(fine.trust.flags), np.where(beyond, Flag.UNCERTAIN, 0)[:, None].repeat(19, 1))
    assert not fine.trust.flags[::STRIDE].any()
    assert f"{beyond.sum()} of {GAPS} gaps exceed {limit:g} A, marked" in marked.told(how)[0]

    how = replace(how, fallback=Fallback.SPLINE)
    filled = reconstruct(coarse, tmp_path / "filled.h5", how)
    reconstruct(coarse, tmp_path / "hermite.h5", Reconstruction(CubicHermite(), STRIDE))
    fine, spline = read(tmp_path / "filled.h5"), read(tmp_path / "hermite.h5")
    for array, model_s, spline_s in (
        (fine.positions, free.positions, spline.positions),
        (fine.velocities, free.velocities, spline.velocities),
    ):
        np.testing.assert_array_equal(hidden(array)[beyond], hidden(spline_s)[beyond])
        np.testing.assert_array_equal(hidden(array)[~beyond], hidden(model_s)[~beyond])
    assert np.isnan(hidden(fine.trust.error_bars)[beyond]).all()
    assert np.isfinite(hidden(fine.trust.error_bars)[~beyond]).all()
    assert set(np.unique(fine.trust.flags)) == {0, Flag.UNCERTAIN | Flag.SPLINE}
    assert f"{beyond.sum()} of {GAPS} gaps exceed {limit:g} A, {beyond.sum()} of them filled" in filled.told(how)[0]


def test_what_a_limit_needs(tmp_path: Path, coarse: Path, model: BidirectionalODE) -> None:
    target = tmp_path / "fine.h5"
    with pytest.raises(ConfigError, match="needs error bars, but this method has none for gaps of 10 fs"):
        reconstruct(coarse, target, Reconstruction(CubicHermite(), STRIDE, max_error=0.1))
    with pytest.raises(ConfigError, match="give --max-error as well"):
        reconstruct(coarse, target, Reconstruction(model, STRIDE, fallback=Fallback.SPLINE))
    with pytest.raises(ConfigError, match="above 0"):
        reconstruct(coarse, target, Reconstruction(model, STRIDE, max_error=float("nan")))
    bare = coarse.with_name("bare.h5")
    infers = Reconstruction(model, STRIDE, dynamics=Dynamics(SYSTEM, model.field, model.solver), max_error=0.1)
    with pytest.raises(ConfigError, match="whose velocities are inferred"):
        reconstruct(bare, target, infers)
    assert list(tmp_path.iterdir()) == []


def test_a_spline_says_nothing_of_trust(tmp_path: Path, coarse: Path) -> None:
    done = reconstruct(coarse, tmp_path / "fine.h5", Reconstruction(NaturalCubicSpline(), STRIDE))
    assert read(tmp_path / "fine.h5").trust is None
    assert done.told(Reconstruction(NaturalCubicSpline(), STRIDE)) == []


def strange_file(coarse: Path, target: Path) -> None:
    """One anchor with an atom far away, and another that is too hot."""
    known = read(coarse)
    positions, velocities = known.positions.copy(), known.velocities.copy()
    positions[10, 3] += 20.0
    velocities[31] *= 10.0
    write(replace(known, positions=positions, velocities=velocities), target)


def test_gaps_unlike_the_training_data(tmp_path: Path, coarse: Path, model: BidirectionalODE, seen: Seen) -> None:
    how = Reconstruction(model, STRIDE, seen=seen)
    quiet = reconstruct(coarse, tmp_path / "quiet.h5", how)
    assert quiet.told(how)[1] == f"training data: all {GAPS} gaps are within what the model has seen"
    assert not read(tmp_path / "quiet.h5").trust.flags.any()
    strange_file(coarse, tmp_path / "coarse.h5")
    told = reconstruct(tmp_path / "coarse.h5", tmp_path / "fine.h5", how).told(how)[1]
    flags = hidden(read(tmp_path / "fine.h5").trust.flags)
    distance, heat = ((flags & flag).any(1).nonzero()[0].tolist() for flag in (Flag.DISTANCE, Flag.TEMPERATURE))
    assert {9, 10} <= set(distance) <= {9, 10, 30, 31}
    assert heat == [30, 31]
    assert "4 of 50 gaps are outside what the model has seen" in told
    assert f"{len(distance)} by a distance (H" in told
    assert "H3" in told
    assert "2 by the motion of an anchor (" in told


def whole(coarse: Path, output: Path, how: Reconstruction, at_once: int, monkeypatch: pytest.MonkeyPatch) -> Rebuilt:
    monkeypatch.setattr(package.job, "_GAPS_AT_ONCE", at_once)
    return reconstruct(coarse, output, how)


def test_blocks_and_stops_leave_no_trace_in_the_counts(
    tmp_path: Path, coarse: Path, model: BidirectionalODE, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange_file(coarse, tmp_path / "coarse.h5")
    limit, _ = limit_of(coarse, model, tmp_path)
    how = Reconstruction(model, STRIDE, seen=seen, max_error=limit, fallback=Fallback.SPLINE)
    once = whole(tmp_path / "coarse.h5", tmp_path / "once.h5", how, 1000, monkeypatch)
    pieces = whole(tmp_path / "coarse.h5", tmp_path / "pieces.h5", how, 7, monkeypatch)
    assert pieces.told(how) == once.told(how)
    one, other = read(tmp_path / "once.h5"), read(tmp_path / "pieces.h5")
    np.testing.assert_array_equal(one.trust.flags, other.trust.flags)
    np.testing.assert_allclose(one.positions, other.positions, rtol=0, atol=1e-9)

    def stop(gaps: int) -> None:
        if gaps >= 21:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(tmp_path / "coarse.h5", tmp_path / "stopped.h5", how, advance=stop)
    again = reconstruct(tmp_path / "coarse.h5", tmp_path / "stopped.h5", how, resume=True)
    assert again.told(how) == once.told(how)
    assert (tmp_path / "stopped.h5").read_bytes() == (tmp_path / "pieces.h5").read_bytes()
