"""A reconstruction killed at random points: `--resume` ends with the bytes of an unbroken run, never a partial file.

NEURALMD_KILLS=200 asks for so many kills in place of a few.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import threading
import time
import warnings
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralmd.data.formats import read, write
from neuralmd.data.trajectory import Segment, Trajectory
from neuralmd.errors import DataError
from neuralmd.interpolators import batches
from neuralmd.interpolators.base import Interpolator
from neuralmd.interpolators.blending import PowerBlend
from neuralmd.interpolators.orientation import LabFrame
from neuralmd.interpolators.recurrent import BidirectionalRNN, Rollout
from neuralmd.interpolators.recurrent_cells import Architecture, Cell
from neuralmd.interpolators.splines import CubicHermite, NaturalCubicSpline
from neuralmd.reconstruction import Reconstruction, reconstruct
from neuralmd.system import System

KILLS = int(os.environ.get("NEURALMD_KILLS", "6"))
FORMATS = [".h5", ".extxyz", ".dcd", ".nc", ".xtc", ".traj", ".npz"]


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments of water, 900 gaps in all."""
    rng = np.random.default_rng(0)
    start = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    positions = start + np.cumsum(rng.normal(0, 0.05, (902, 3, 3)), axis=0)
    path = tmp_path_factory.mktemp("coarse") / "coarse.h5"
    motion = Trajectory(
        System.from_atomic_numbers([8, 1, 1]),
        positions,
        (Segment(0, 601, 5.0), Segment(601, 301, 5.0)),
        velocities=rng.normal(0, 0.02, positions.shape),
    )
    write(motion, path)
    write(motion.slice(0, 601), path.with_name("one.h5"))
    return path


def source(coarse: Path, suffix: str) -> Path:
    return coarse if suffix in {".h5", ".extxyz", ".traj", ".npz"} else coarse.with_name("one.h5")


def how(method: Interpolator | None = None, stride: int = 10) -> Reconstruction:
    return Reconstruction(method or CubicHermite(), stride, metadata={"method": "cubic_hermite"})


def begin(coarse: Path, output: Path, request: Reconstruction | None = None) -> BaseProcess:
    """A process that goes on with the reconstruction."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python dislikes forks of processes with threads; this one's sleep
        process = multiprocessing.get_context("fork").Process(
            target=reconstruct, args=(coarse, output, request or how()), kwargs={"resume": True}
        )
        process.start()
    return process


@pytest.mark.parametrize("suffix", FORMATS)
def test_killed_reconstructions_end_with_the_same_bytes(tmp_path: Path, coarse: Path, suffix: str) -> None:
    dice = random.Random(suffix)  # noqa: S311 - no secret
    unbroken = tmp_path / f"unbroken{suffix}"
    began = time.monotonic()
    reconstruct(source(coarse, suffix), unbroken, how())
    whole, lasts = unbroken.read_bytes(), time.monotonic() - began
    unbroken.unlink()
    folder = tmp_path / "work"
    killed = 0
    for _ in range(20 * KILLS):
        if killed >= KILLS // len(FORMATS) + 1:
            break
        output = folder / f"fine{suffix}"
        if output.exists() and len(list(folder.iterdir())) == 1:
            shutil.rmtree(folder)
        folder.mkdir(exist_ok=True)
        process = begin(source(coarse, suffix), output)
        process.join(dice.uniform(0.0, 0.6 * lasts))
        killed += process.is_alive()
        process.kill()
        process.join()
        assert process.exitcode in {0, -9}
        assert not output.exists() or output.read_bytes() == whole
    assert killed >= KILLS // len(FORMATS) + 1
    if not output.exists() or len(list(folder.iterdir())) > 1:
        reconstruct(source(coarse, suffix), output, how(), resume=True)
    assert output.read_bytes() == whole
    assert [path.name for path in folder.iterdir()] == [output.name]


def recurrent(at_once: int | None) -> Reconstruction:
    """A network whose last digits depend on how many gaps are filled together."""
    torch.manual_seed(0)
    rollout = Rollout(System.from_atomic_numbers([8, 1, 1]), 0.5, Architecture(Cell.LSTM, 64, 2), LabFrame())
    model = BidirectionalRNN(rollout, PowerBlend(3.0)).eval()
    model.at_once = at_once
    return Reconstruction(model, 10)


def test_a_killed_reconstruction_keeps_its_batch(tmp_path: Path, coarse: Path) -> None:
    """Resumed with another batch, as by --batch or because memory is short, it gives the bytes of an unbroken run."""
    target = tmp_path / "fine.h5"
    contents = {}
    for at_once in (61, 7):
        reconstruct(coarse, tmp_path / "whole.h5", recurrent(at_once), overwrite=True)
        contents[at_once] = (tmp_path / "whole.h5").read_bytes()
    assert contents[61] != contents[7]
    process = begin(coarse, target, recurrent(61))
    deadline = time.monotonic() + 120.0
    while len(list((tmp_path / "fine.h5.blocks").glob("block-*"))) < 3:
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.join()
    assert process.exitcode == -9
    assert not target.exists()
    done = reconstruct(coarse, target, recurrent(7), resume=True)
    assert done.batch == 61
    assert "61 gaps were filled at once, not 7" in done.told(recurrent(7))[-1]
    assert target.read_bytes() == contents[61]


def test_the_batch_that_memory_allows_is_kept(tmp_path: Path, coarse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reconstruct(coarse, tmp_path / "whole.h5", recurrent(5))
    needed = 3 * (batches._BYTES_PER_ATOM + 10 * batches._BYTES_PER_ATOM_AND_FRAME)
    monkeypatch.setattr(batches, "free_memory", lambda _: int(5.5 * needed / batches._SHARE))

    def stop(gaps: int) -> None:
        if gaps >= 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(coarse, tmp_path / "fine.h5", recurrent(None), advance=stop)
    monkeypatch.undo()
    assert batches.gaps_at_once(recurrent(None).method, 3, 10) > 5
    assert reconstruct(coarse, tmp_path / "fine.h5", recurrent(None), resume=True).batch == 5
    assert (tmp_path / "fine.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_kill_between_the_rename_and_the_removal(tmp_path: Path, coarse: Path) -> None:
    output = tmp_path / "fine.h5"
    reconstruct(coarse, output, how())
    whole = output.read_bytes()
    output.unlink()

    class KilledError(Exception):
        pass

    def stop(done: int) -> None:
        if done == 900:
            raise KilledError

    with pytest.raises(KilledError):
        reconstruct(coarse, output, how(), advance=stop)
    output.write_bytes(whole)
    reconstruct(coarse, output, how(), resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["fine.h5"]
    with pytest.raises(KilledError):
        reconstruct(coarse, output, how(), overwrite=True, advance=stop)
    output.write_bytes(b"another file")
    with pytest.raises(DataError, match="exists already: give another name, or --overwrite"):
        reconstruct(coarse, output, how(), resume=True)
    assert output.read_bytes() == b"another file"
    reconstruct(coarse, output, how(), resume=True, overwrite=True)
    assert output.read_bytes() == whole


def test_a_kill_in_the_middle_of_the_removal(tmp_path: Path, coarse: Path) -> None:
    output = tmp_path / "fine.h5"
    frames = reconstruct(coarse, output, how()).frames
    whole = output.read_bytes()
    (tmp_path / ".fine.h5.blocks.finished").mkdir()
    assert reconstruct(coarse, output, how(), resume=True).frames == frames
    assert [path.name for path in tmp_path.iterdir()] == ["fine.h5"]
    (tmp_path / ".fine.h5.blocks.discarded").mkdir()
    with pytest.raises(DataError, match="exists already"):
        reconstruct(coarse, output, how(), resume=True)
    reconstruct(coarse, output, how(), overwrite=True)
    assert output.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["fine.h5"]


def test_what_was_begun_is_not_mixed_with_something_else(tmp_path: Path, coarse: Path) -> None:
    output = tmp_path / "fine.h5"
    done = []

    def stop(gaps: int) -> None:
        done.append(gaps)
        if gaps >= 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"fine\.h5\.blocks: go on with the same command and --resume"):
        reconstruct(coarse, output, how(), advance=stop)
    assert not output.exists()
    with pytest.raises(DataError, match=r"holds an unfinished reconstruction: go on with --resume, or start anew"):
        reconstruct(coarse, output, how())
    for other, word in ((how(NaturalCubicSpline()), "method.class"), (how(stride=5), "stride 10")):
        with pytest.raises(DataError, match=f"was begun with .*{word}"):
            reconstruct(coarse, output, other, resume=True)
    changed = tmp_path / "coarse.h5"
    write(read(coarse).slice(0, 901), changed)
    with pytest.raises(DataError, match=r"was begun with .*coarse\.sha256"):
        reconstruct(changed, output, how(), resume=True)
    done.clear()
    blocks = sorted((tmp_path / "fine.h5.blocks").glob("block-*"))
    assert len(blocks) == 5
    blocks[2].write_bytes(b"damaged")
    assert reconstruct(coarse, output, how(), resume=True, advance=done.append).frames == 6001 + 3001
    assert done[:2] == [128, 320]
    assert done[-1] == 900
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coarse.h5", "fine.h5"]


def test_segments_and_anchors_survive(tmp_path: Path, coarse: Path) -> None:
    reconstruct(coarse, tmp_path / "fine.h5", how())
    fine, known = read(tmp_path / "fine.h5"), read(coarse)
    assert [(s.start, s.length, s.timestep) for s in fine.segments] == [(0, 6001, 0.5), (6001, 3001, 0.5)]
    np.testing.assert_array_equal(fine.positions[:6001:10], known.positions[:601])
    np.testing.assert_array_equal(fine.velocities[6001::10], known.velocities[601:])


def test_a_periodic_file_is_unwrapped_filled_and_wrapped(tmp_path: Path) -> None:
    from dataclasses import replace

    from neuralmd.data.periodic import wrapped

    cell = np.array([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, -1.0, 6.0]])
    system = replace(System.from_atomic_numbers([8, 1, 1]), cell=cell, pbc=np.ones(3, dtype=bool))
    speed = np.array([0.05, -0.03, 0.02])
    line = speed * 10.0 * np.arange(60)[:, None, None] + np.array([[[1.0, 1, 1], [1.9, 1, 1], [1, 1.9, 1]]])
    velocities = np.broadcast_to(speed, line.shape).copy()
    motion = Trajectory.uniform(system, wrapped(line, system), 10.0, velocities=velocities)
    write(motion, tmp_path / "coarse.h5")
    reconstruct(tmp_path / "coarse.h5", tmp_path / "free.h5", how())
    reconstruct(tmp_path / "coarse.h5", tmp_path / "inside.extxyz", Reconstruction(CubicHermite(), 10, wrap=True))
    fine = read(tmp_path / "free.h5")
    expected = speed * np.arange(591)[:, None, None] + line[0]
    np.testing.assert_allclose(fine.positions, expected, atol=1e-10)
    np.testing.assert_allclose(fine.system.cell, cell)
    import ase.io

    images = ase.io.read(tmp_path / "inside.extxyz", index=":")
    assert all(image.pbc.all() and np.allclose(image.cell.array, cell) for image in images)
    np.testing.assert_allclose([image.positions for image in images], wrapped(expected, system), atol=1e-7)


@pytest.mark.parametrize("suffix", [".h5", ".nc"])
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path, coarse: Path, suffix: str) -> None:
    """The frames of all gaps would take 58 MB with their velocities; the process must not take that."""
    rng = np.random.default_rng(0)
    positions = rng.normal(0, 1.0, (20_001, 3, 3)) * 0.1 + np.arange(3)[:, None]
    system = System.from_atomic_numbers([8, 1, 1])
    write(Trajectory.uniform(system, positions, 10.0, velocities=0.01 * positions), tmp_path / "coarse.h5")
    resident: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        reconstruct(tmp_path / "coarse.h5", tmp_path / f"fine{suffix}", how(stride=20))
    finally:
        ended.set()
        watcher.join()
    begun = max(resident[: len(resident) // 10])
    assert max(resident) - begun < 20e6
