"""A first look at a file in a process of its own, because a damaged one can hang or crash the libraries that read it.

Flipped bytes send libhdf5 and the C readers of MDAnalysis into endless loops or faults that Python cannot catch. The
child process has a limit on its processor time and its memory; what kills it would have killed the caller.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from neuralmd.errors import DataError

_SECONDS: Final = 20
"""Processor time that a first look may take; the time that a slow disk takes does not count."""

_PATIENCE: Final = 120
"""Seconds after which a child that does not compute is given up; that says nothing of the file."""

_MEMORY: Final = 2 * 2**30
_KEPT: Final = 256

_seen: dict[tuple[str, int, int], None] = {}


def require_survivor(path: Path, kind: str, look: Callable[[Path], None]) -> None:
    """Look at a file in a child process, and raise DataError if that hangs or crashes it. What it raises is ignored.

    A file that was looked at and has not changed since is not looked at again. Nothing is done where processes cannot
    be forked.

    Args:
        path: The file.
        kind: What it should be, for the message.
        look: Does what a reader does first.

    Raises:
        DataError: If the child did not come to its end.
    """
    state = path.stat()
    key = (str(path.resolve()), state.st_size, state.st_mtime_ns)
    if key in _seen or sys.platform == "win32" or sys.platform == "darwin":
        return
    with warnings.catch_warnings():
        # The child runs no other thread's code: it looks at the file and ends.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        _run(path, look)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGALRM:
        raise DataError(
            f"{path} cannot be read as {kind}: the library that reads it hangs or crashes on it; it is damaged, take "
            "another copy"
        )
    _seen[key] = None
    while len(_seen) > _KEPT:
        del _seen[next(iter(_seen))]


def _run(path: Path, look: Callable[[Path], None]) -> None:
    """Be the child: look at the file, with limits, in silence, and end without any of the parent's clean-up."""
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        faulthandler.disable()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE)
        _limit()
        look(path)
    except BaseException:  # noqa: BLE001, S110 - whatever it is, the caller will meet it itself
        pass
    finally:
        os._exit(0)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    with contextlib.suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft == resource.RLIM_INFINITY or used + _MEMORY < soft:
            resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, hard))
