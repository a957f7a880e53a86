"""Kills `neuralmd reconstruct` many times at random points, and checks what every resume makes of it.

    python tests/benchmarks/many_kills.py --kills 200

Each time, the command is killed (SIGKILL) once to three times, then resumed to its end: the file must have the bytes of
an unbroken run, nothing else may lie beside it, and at no time may a partial file have its name. Half of the kills are
at any point, half at the end, when the blocks are joined into the file. Exit code 1 if anything of that fails.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import neuralmd as nmd
from neuralmd.cli import main

_LONGEST = 3600.0


@dataclass
class Command:
    """The reconstruction that is killed.

    Attributes:
        words: The command line without the output.
        output: The file that it writes.
        extra: What follows.
    """

    words: tuple[str, ...]
    output: Path
    extra: tuple[str, ...] = ()

    def start(self) -> int:
        """Start it in a process of its own, which has its imports already; its number."""
        child = os.fork()
        if child:
            return child
        with open(os.devnull, "w") as silence:  # noqa: PTH123 - has a file descriptor
            os.dup2(silence.fileno(), sys.stdout.fileno())
            if self.extra:  # the first run tells what goes wrong, the others would tell it again and again
                os.dup2(silence.fileno(), sys.stderr.fileno())
        try:
            main([*self.words[:2], str(self.output), *self.words[2:], *self.extra])
        except SystemExit as end:
            os._exit(int(end.code or 0))
        os._exit(3)

    def run(self) -> float:
        """Carry it out to its end; the seconds that it took."""
        began = time.monotonic()
        status = os.waitpid(self.start(), 0)[1]
        if status:
            raise SystemExit(f"the command ended with {os.waitstatus_to_exitcode(status)}")
        return time.monotonic() - began


@dataclass
class Tally:
    """What was seen.

    Attributes:
        kills: Kills so far.
        filling: Of these, while gaps were filled.
        joining: Of these, when all blocks were there.
        resumes: Runs that were resumed to their end.
        wrong: What went wrong, a sentence each.
    """

    kills: int = 0
    filling: int = 0
    joining: int = 0
    resumes: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_once(command: Command, lasts: float, blocks: int, dice: random.Random) -> bool:
    """Start the command and kill it at a random point; whether it was still at work."""
    at_the_end = dice.random() < 0.5
    child, began, wait = command.start(), time.monotonic(), dice.uniform(0.0, lasts)
    folder = command.output.with_name(command.output.name + ".blocks")
    if at_the_end:
        wait = dice.uniform(0.0, 0.15 * lasts)
        while len(list(folder.glob("block-*.npz"))) < blocks and time.monotonic() - began < _LONGEST:
            if os.waitpid(child, os.WNOHANG)[0]:
                return False
            time.sleep(0.0005)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def one_round(command: Command, whole: bytes, lasts: float, blocks: int, dice: random.Random, seen: Tally) -> None:
    """Kill a few times, then resume to the end."""
    output = command.output
    folder = output.with_name(output.name + ".blocks")
    for _ in range(dice.randint(1, 3)):
        if not kill_once(command, lasts, blocks, dice):
            break
        there = len(list(folder.glob("block-*.npz")))
        seen.kills += 1
        seen.joining += there == blocks
        seen.filling += there < blocks
        if output.exists() and output.read_bytes() != whole:
            seen.wrong.append(f"a partial file had the final name after kill {seen.kills}")
    if not output.exists() or len(list(output.parent.iterdir())) > 1:
        command.run()
        seen.resumes += 1
    if output.read_bytes() != whole:
        seen.wrong.append(f"other bytes after kill {seen.kills}")
    if left := [path.name for path in output.parent.iterdir() if path != output]:
        seen.wrong.append(f"left behind after kill {seen.kills}: {', '.join(left)}")
    shutil.rmtree(output.parent)
    output.parent.mkdir()


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--run", type=Path, default=nmd.example("neural-ode"), help="a run or its model.pt")
    parser.add_argument("--fine", type=Path, default=nmd.example("benzene"), help="a fine trajectory of its molecule")
    parser.add_argument("--frames", type=int, default=700, help="how many frames of it")
    parser.add_argument("--gaps-in-a-block", type=int, default=4, help="so that there are many points to stop at")
    parser.add_argument("--suffix", default=".h5", help="format of the output")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main_() -> int:
    """Carry it out; the exit code."""
    from neuralmd.reconstruction import job

    asked = arguments()
    dice, seen = random.Random(asked.seed), Tally()  # noqa: S311 - no secret
    job._GAPS_AT_ONCE = asked.gaps_in_a_block
    stride, gaps = 20, (asked.frames - 1) // 20
    blocks = -(-gaps // asked.gaps_in_a_block)
    with TemporaryDirectory() as name:
        place = Path(name)
        fine = nmd.read(asked.fine)
        nmd.write(fine.slice(0, gaps * stride + 1, stride), place / "coarse.h5")
        options = ("--run", str(asked.run), "--stride", str(stride), "--device", "cpu")
        words = ("reconstruct", str(place / "coarse.h5"), *options)
        unbroken = Command(words, place / f"unbroken{asked.suffix}")
        nmd.load(asked.run, "cpu")  # so that no fork has to import anything
        unbroken.run()
        whole = unbroken.output.read_bytes()
        unbroken.output.unlink()
        lasts = unbroken.run()
        (place / "work").mkdir()
        command = Command(words, place / "work" / f"fine{asked.suffix}", ("--resume",))
        print(f"an unbroken run of {gaps} gaps in {blocks} blocks takes {lasts:.2f} s, {len(whole)} bytes", flush=True)
        while seen.kills < asked.kills:
            one_round(command, whole, lasts, blocks, dice, seen)
            print(f"{seen.kills} kills, {seen.resumes} resumed to the end, {len(seen.wrong)} wrong", flush=True)
    told = (
        f"{seen.kills} kills, {seen.filling} of them while gaps were filled, {seen.joining} when all blocks were there"
    )
    print(f"{told}; {seen.resumes} resumed to the end with the same bytes; wrong: {seen.wrong or 'nothing'}")
    return 1 if seen.wrong else 0


if __name__ == "__main__":
    sys.exit(main_())
