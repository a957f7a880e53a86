"""Rebuilds 2,000,000 frames of benzene from 100,000 coarse ones, and watches the memory of the process.

    python tests/benchmarks/long_reconstruction.py --folder FOLDER --coarse-frames 100001

The coarse file goes through the anchors of a fine one there and back again, velocities reversed on the way back, so
that every gap is one of real dynamics, and all are one segment. `neuralmd reconstruct` runs in a terminal of its own,
whose progress is kept. Memory is what the kernel counts as resident (VmRSS). Exit code 1 if it is not flat within 10 %
from the first percent to the last, or not below 1.5 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import neuralmd as nmd
from neuralmd.data.formats import create

_STRIDE = 20
_LIMIT = 1.5 * 2**30
_FLAT = 1.1
_BLOCK = 5000
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Look:
    """What was seen at one time.

    Attributes:
        seconds: Since the start.
        resident: Memory [B].
        shown: The progress bar.
    """

    seconds: float
    resident: int
    shown: str

    @property
    def part(self) -> float | None:
        """The part of the gaps that is done, as the bar shows it."""
        found = re.search(r"(\d+)/(\d+) gaps", self.shown)
        return int(found[1]) / int(found[2]) if found else None


def there_and_back(fine: Path, target: Path, frames: int) -> None:
    """Write a coarse file of so many frames."""
    every = nmd.read(fine)
    known = every.slice(0, len(every), _STRIDE)
    still, last = known.velocities, len(known) - 1
    if still is None:
        raise SystemExit(f"{fine} holds no velocities")
    with create(
        target,
        known.system,
        timestep=known.timestep,
        fields=frozenset({"velocities"}),
        velocity_source=known.velocity_source,
        overwrite=True,
    ) as writer:
        writer.start_segment(known.timestep)
        for first in range(0, frames, _BLOCK):
            at = np.arange(first, min(first + _BLOCK, frames)) % (2 * last)
            forward = (at < last)[:, None, None]
            index = np.where(at <= last, at, 2 * last - at)
            velocities = np.where(forward, still[index], -still[index])
            writer.append(
                nmd.Trajectory.uniform(
                    known.system,
                    known.positions[index],
                    known.timestep,
                    velocities=velocities,
                    velocity_source=known.velocity_source,
                )
            )


def resident(process: int) -> int | None:
    """VmRSS [B]; none once the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), None)


def watch(command: list[str], every: float, log: Path) -> tuple[int, list[Look], str]:
    """Run a command in a terminal of its own; its exit code, what was seen, and the last that it said."""
    ours, theirs = pty.openpty()
    looks, began, shown = [], time.monotonic(), ""
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    with log.open("w", encoding="utf-8") as kept:
        process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        due = began
        while True:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    text = os.read(ours, 65536).decode("utf-8", "replace")
                except OSError:  # the other end is closed
                    break
                lines = [line for line in re.split(r"[\r\n]+", _ESCAPES.sub("", text)) if line.strip()]
                shown = lines[-1] if lines else shown
            memory = resident(process.pid)
            if memory is not None and time.monotonic() >= due:
                due += every
                looks.append(Look(time.monotonic() - began, memory, shown))
                kept.write(json.dumps(asdict(looks[-1])) + "\n")
                kept.flush()
        return process.wait(), looks, shown


def judged(looks: list[Look], written: Path) -> bool:
    """Print what was measured; whether it is as it should be."""
    parts = [part for look in looks if (part := look.part) is not None]
    first = next(index for index, look in enumerate(looks) if (look.part or 0.0) >= 0.01)
    begun, rest = looks[first].resident, [look.resident for look in looks[first:]]
    highest = max(look.resident for look in looks)
    mib = 2**20
    print(f"{looks[-1].seconds:.0f} s; {len(looks)} looks, {len(parts)} of them with a bar")
    print(f"resident at 1 %: {begun / mib:.1f} MiB; then {min(rest) / mib:.1f} to {max(rest) / mib:.1f} MiB, ", end="")
    print(f"{max(rest) / begun - 1.0:+.1%} at most; highest of all {highest / mib:.1f} MiB")
    for share in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        look = next((each for each in looks if (each.part or 0.0) >= share), looks[-1])
        print(f"  {share:4.0%}: {look.seconds:7.0f} s {look.resident / mib:7.1f} MiB | {look.shown.strip()}")
    print(f"  join: {looks[-1].seconds:7.0f} s {looks[-1].resident / mib:7.1f} MiB | {written.stat().st_size} bytes")
    return max(rest) < _FLAT * begun and min(rest) * _FLAT > begun and highest < _LIMIT


def main() -> int:
    """Carry it out; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the files, about 3 GB")
    parser.add_argument("--coarse-frames", type=int, default=100_001)
    parser.add_argument("--run", type=Path, default=nmd.example("neural-ode"), help="a run or its model.pt")
    parser.add_argument("--fine", type=Path, default=nmd.example("benzene"), help="a fine trajectory of its molecule")
    parser.add_argument("--every", type=float, default=2.0, help="seconds from look to look")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    coarse, rebuilt = asked.folder / "coarse.h5", asked.folder / "rebuilt.h5"
    there_and_back(asked.fine, coarse, asked.coarse_frames)
    words = ["reconstruct", str(coarse), str(rebuilt), "--run", str(asked.run), "--stride", str(_STRIDE), "--overwrite"]
    code, looks, said = watch([sys.executable, "-m", "neuralmd", *words], asked.every, asked.folder / "memory.jsonl")
    print(f"exit code {code}; {said}")
    return 0 if code == 0 and judged(looks, rebuilt) else 1


if __name__ == "__main__":
    sys.exit(main())
