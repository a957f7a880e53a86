"""Which state of the code a run was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path

from neuralmd import __version__

_CHECKOUT = Path(__file__).resolve().parents[2]
_TIMEOUT = 10.0  # s


def code_state() -> dict[str, str | bool]:
    """Version of the package; in a checkout also its commit, and whether files differ from it."""
    state: dict[str, str | bool] = {"code.version": __version__}
    commit = _git("rev-parse", "HEAD")
    if commit is not None:
        state |= {"code.commit": commit, "code.modified": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    return state


def _git(*words: str) -> str | None:
    """What git says of the checkout; none without git or a checkout."""
    if not (_CHECKOUT / ".git").exists():
        return None
    command = ["git", "-C", str(_CHECKOUT), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
