"""Damaged inputs of every format: one clear line or a right answer; no traceback, no hang, no flood of memory.

NEURALMD_FUZZ=2000 asks for so many cases in place of a few.
"""

from __future__ import annotations

import io
import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from neuralmd.cli import main
from neuralmd.data.declared import Declared
from neuralmd.data.formats import write
from neuralmd.data.thinning import Thinning, thin
from neuralmd.data.trajectory import Trajectory
from neuralmd.system import System

CASES = int(os.environ.get("NEURALMD_FUZZ", "60"))
MEMORY = 2 * 2**30
SECONDS = 100.0
TOPOLOGY = {".xtc", ".trr", ".dcd", ".nc", ".lammpstrj"}


def water() -> Trajectory:
    rng = np.random.default_rng(0)
    start = np.array([[5.0, 4.0, 4.5], [5.76, 4.59, 4.5], [4.24, 4.59, 4.5]])
    positions = start + np.cumsum(rng.normal(0, 0.01, (24, 3, 3)), axis=0)
    system = System.from_atomic_numbers([8, 1, 1])
    return Trajectory.uniform(
        replace(system, cell=np.diag([9.0, 9.0, 9.0]), pbc=np.ones(3, dtype=bool)),
        positions,
        1.0,
        velocities=rng.normal(0, 0.01, positions.shape),
        forces=rng.normal(0, 1, positions.shape),
        energies=rng.normal(0, 1, 24),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of every format, by its name."""
    from ase import Atoms
    from ase.io.vasp import write_vasp_xdatcar

    folder = tmp_path_factory.mktemp("whole")
    motion = water()
    for suffix in (".h5", ".npz", ".extxyz", ".traj", ".xtc", ".trr", ".dcd", ".nc", ".pdb"):
        write(motion, folder / f"x{suffix}")
    images = [Atoms("OHH", frame, cell=motion.system.cell, pbc=True) for frame in motion.positions]
    write_vasp_xdatcar(str(folder / "XDATCAR"), images)
    rows = "".join(f"O {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in motion.positions[0])
    (folder / "ipi.xyz").write_text(
        f"3\n# CELL(abcABC): 9 9 9 90 90 90 cell{{angstrom}} Traj: positions{{angstrom}}\n{rows}" * 9
    )
    dump = "".join(f"{i + 1} 1 {x:.4f} {y:.4f} {z:.4f}\n" for i, (x, y, z) in enumerate(motion.positions[0]))
    head = "ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n" + "0 9\n" * 3
    head += "ITEM: ATOMS id type x y z\n"
    (folder / "x.lammpstrj").write_text("".join(head.format(i) + dump for i in range(9)))
    for path in list(folder.iterdir()):  # so that the libraries are imported once, and not in every child
        declared = Declared(1.0, folder / "x.pdb" if path.suffix in TOPOLOGY else None)
        thin(path, folder / "thinned.h5", Thinning(2, declared=declared), overwrite=True)
    (folder / "thinned.h5").unlink()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def truncate(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def flip(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    reach = len(changed) if dice.random() < 0.5 else min(len(changed), 2000)
    for _ in range(dice.choice([1, 3, 30])):
        changed[dice.randrange(reach)] = dice.randrange(256)
    return bytes(changed)


def drop(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(content))
    return content[:start] + content[start + dice.randrange(1, 200) :]


def repeat(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(content))
    return content[:start] + content[max(0, start - dice.randrange(1, 2000)) :]


def huge_word(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(0, min(len(content), 4000))
    word = dice.choice([b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"9" * 18])
    return content[:start] + word + content[start + len(word) :]


def garbage(content: bytes, dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice([0, 1, 100, 5000]))


def other_name(content: bytes, dice: random.Random) -> bytes:
    return dice.choice([b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"CDF\x02", b"- of Ulm"]) + content


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [
    truncate, flip, flip, flip, drop, repeat, huge_word, garbage, other_name,
]  # fmt: skip


def run(words: list[str], folder: Path) -> tuple[int, str]:
    """A command in a process of its own with little memory and time; its exit code and what it says on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        try:
            log = os.open(folder / ".stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            sys.stderr = os.fdopen(log, "w")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            os.chdir(folder)
            warnings.simplefilter("ignore")
            main(words)
        except SystemExit as end:
            sys.stderr.flush()
            os._exit(int(end.code or 0))
        except BaseException:  # noqa: BLE001 - what must not come, and must not go on as pytest
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(99)
    status = wait(child)
    said = (folder / ".stderr").read_text(errors="replace")
    (folder / ".stderr").unlink()
    return (-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), said


def wait(child: int) -> int:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def check(path: Path, *more: str) -> tuple[int, str]:
    """`thin` reads all of a file and writes another: it must end with 0, or with 2 and one line."""
    folder = path.parent
    before = sorted(item.name for item in folder.rglob("*"))
    words = ["thin", path.name, "out/coarse.h5", "--stride", "2", *more]
    code, said = run(words, folder)
    assert code in {0, 2}, (code, said)
    errors = [line for line in said.splitlines() if not line.startswith("note: ")]
    assert len(errors) == (1 if code else 0), said
    assert code == 0 or errors[0].startswith("error: "), said
    assert len(said) < 2000, said
    after = {str(item.relative_to(folder)) for item in folder.rglob("*")} - set(before) - {"out"}
    assert after == ({"out/coarse.h5"} if code == 0 else set())
    return code, said


def extra(name: str) -> list[str]:
    """What the good file would need on the command line."""
    words = ["--topology", "topology.pdb"] if Path(name).suffix in TOPOLOGY else []
    return words + (["--timestep", "1.0"] if Path(name).suffix in {".pdb", ".xyz", "", ".lammpstrj"} else [])


@pytest.mark.parametrize("part", range(4))
def test_random_damage(tmp_path: Path, whole: dict[str, bytes], part: int) -> None:
    for case in range(part, CASES, 4):
        dice = random.Random(case)  # noqa: S311 - no secret
        name = sorted(whole)[case % len(whole)]
        folder = tmp_path / str(case)
        folder.mkdir()
        (folder / "topology.pdb").write_bytes(whole["x.pdb"])
        (folder / name).write_bytes(dice.choice(DAMAGES)(whole[name], dice))
        try:
            check(folder / name, *extra(name))
        except AssertionError as error:
            raise AssertionError(f"case {case}: {name}: {error}") from error


def test_the_whole_files_pass(tmp_path: Path, whole: dict[str, bytes]) -> None:
    for name, content in whole.items():
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        (folder / "topology.pdb").write_bytes(whole["x.pdb"])
        (folder / name).write_bytes(content)
        code, said = check(folder / name, *extra(name))
        assert code == 0, (name, said)


def array_bytes(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=True)
    return content.getvalue()


def npz(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members.items():
            archive.writestr(f"{name}.npy", value)
    return content.getvalue()


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch evil",)


NUMBERS = array_bytes(np.array([8, 1, 1]))
FRAMES = array_bytes(water().positions)
ONE = array_bytes(np.ones(1))
HUGE = FRAMES.replace(b"(24, 3, 3)", b"(24000000000, 3, 3)".ljust(10))[: len(FRAMES)]
BOMB = array_bytes(np.zeros(1)).replace(b"(1,)", b"(1,)")[:128] + bytes(600 * 2**20)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda: npz(z=NUMBERS, R=FRAMES, dt_fs=array_bytes(np.array([Evil()], dtype=object))), "pickled"),
        (lambda: npz(z=array_bytes(np.array([Evil()], dtype=object)), R=FRAMES), "pickled"),
        (lambda: npz(z=NUMBERS, R=BOMB), "would grow from"),
        (lambda: npz(z=NUMBERS, R=HUGE), "cannot be read"),
        (lambda: npz(z=NUMBERS, R=array_bytes(np.zeros((24, 9)))), "shape"),
        (lambda: npz(z=NUMBERS, R=array_bytes(np.zeros((0, 3, 3))), dt_fs=array_bytes(np.array(1.0))), "no frames"),
        (lambda: npz(z=array_bytes(np.array([[8, 1, 1]])), R=FRAMES), "one atomic number per atom"),
        (lambda: npz(z=array_bytes(np.array([8, 1, 999])), R=FRAMES), "atomic numbers must lie in"),
        (lambda: npz(z=NUMBERS, R=array_bytes(np.full((24, 3, 3), np.nan)), dt_fs=ONE), "NaN"),
        (lambda: npz(z=NUMBERS, R=FRAMES, dt_fs=array_bytes(np.array(-1.0))), "time step"),
        (lambda: npz(z=NUMBERS, R=FRAMES, dt_fs=ONE, V=array_bytes(np.ones((3, 3, 3)))), "V should"),
        (lambda: npz(z=NUMBERS, R=array_bytes(np.array(["text"] * 9))), "R should have the shape"),
    ],
)  # fmt: skip
def test_npz_that_lie(tmp_path: Path, content: Callable[[], bytes], told: str) -> None:
    (tmp_path / "x.npz").write_bytes(content())
    code, said = check(tmp_path / "x.npz")
    assert code == 2
    assert told in said
    assert not (tmp_path / "evil").exists()


def h5_declares_too_much(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        for name in ("position", "velocity", "force"):
            values = file[f"particles/atoms/{name}/value"]
            values.resize(10**12, axis=0)


def h5_of_other_shape(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["particles/atoms/velocity/value"]
        file["particles/atoms/velocity/value"] = np.zeros((24, 2, 3))
        file["particles/atoms/velocity/value"].attrs["unit"] = "Angstrom fs-1"


def h5_that_links_outside(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["particles/atoms/position/value"]
        file["particles/atoms/position/value"] = h5py.ExternalLink("/etc/passwd", "/x")


def h5_that_goes_round(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["particles/atoms/round"] = file["particles"]
        del file["particles/atoms/species"]


def h5_of_many_atoms(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["particles/atoms/species"]
        file["particles/atoms"].create_dataset("species", (10**11,), np.int64, chunks=(1000,))


@pytest.mark.parametrize(
    "change", [h5_declares_too_much, h5_of_other_shape, h5_that_links_outside, h5_that_goes_round, h5_of_many_atoms]
)
def test_h5_that_lie(tmp_path: Path, whole: dict[str, bytes], change: Callable[[Path], None]) -> None:
    (tmp_path / "x.h5").write_bytes(whole["x.h5"])
    change(tmp_path / "x.h5")
    code, _ = check(tmp_path / "x.h5")
    assert code == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.xyz", b"999999999999\n\nH 0 0 0\n"),
        ("x.xyz", b"1" * 10_000_000),
        ("x.extxyz", b'1\nLattice="nan 0 0 0 1 0 0 0 1" Properties=species:S:1:pos:R:3 time_fs=0\nH 0 0 0\n' * 9),
        ("x.extxyz", b"1\nProperties=species:S:1:pos:R:999999999\nH 0 0 0\n"),
        ("x.xyz", b"1\ntime_fs=1e400\nH 0 0 0\n" * 9),
        ("XDATCAR", b"x\n1\n9 0 0\n0 9 0\n0 0 9\nH\n999999999999\nDirect configuration= 1\n0 0 0\n"),
        ("x.xml", b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
         + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)) + b"]><l>&j;</l>"),
        ("x.xtc", struct.pack(">iiifi", 1995, 3, 0, 0.0, 3) + b"\x7f" * 200),
        ("x.xtc", struct.pack(">iiif9fi", 1995, 3, 0, 0.0, *[0.0] * 9, 2**31 - 1) + bytes(400)),
        ("x.dcd", struct.pack("<i4s80sii80si", 84, b"CORD", bytes(80), 84, 2**31 - 1, bytes(80), 84)),
        ("x.nc", b"CDF\x02" + b"\x7f\xff\xff\xff" * 60),
        ("x.pdb", b"ATOM      1  H   MOL A   1       0.000   0.000     nan  1.00  0.00           H\nENDMDL\n" * 9),
        ("x.tar", b"x"),
        ("x", b"x"),
    ],
)  # fmt: skip
def test_text_and_headers_that_lie(tmp_path: Path, whole: dict[str, bytes], name: str, content: bytes) -> None:
    (tmp_path / "topology.pdb").write_bytes(whole["x.pdb"])
    (tmp_path / name).write_bytes(content)
    code, _ = check(tmp_path / name, *extra(name))
    assert code == 2


def test_paths_that_lead_nowhere(tmp_path: Path, whole: dict[str, bytes]) -> None:
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "loop.h5").symlink_to(tmp_path / "loop.h5")
    (tmp_path / "broken.xtc").symlink_to(tmp_path / "absent.xtc")
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("folder.h5", "loop.h5", "broken.xtc", "pipe.h5", "absent.npz", "a" * 300 + ".h5"):
        code, _ = check(tmp_path / name, *extra(name))
        assert code == 2
    (tmp_path / "x.xtc").write_bytes(whole["x.xtc"])
    for topology in ("absent.pdb", "folder.h5", "x.xtc"):
        assert check(tmp_path / "x.xtc", "--topology", topology)[0] == 2
