"""A folder beside an output in which unfinished work is kept, with what was asked for when it was begun."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from neuralmd.errors import DataError

_SETTINGS: Final = "settings.json"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WorkFolder:
    """A folder whose files appear whole, and that knows the request that it was begun for.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, output: Path) -> WorkFolder:
        """The folder OUTPUT.blocks."""
        return cls(output.with_name(output.name + ".blocks"))

    @property
    def begun(self) -> bool:
        """Whether there is a request to go on with; a kill may have left the folder without one, and then empty."""
        return self.path.is_dir() and any(not name.name.endswith(".tmp") for name in self.path.iterdir())

    def open(self, request: Mapping[str, object], what: str, *, resume: bool, overwrite: bool) -> None:
        """Begin the folder, or go on with it.

        Args:
            request: All that the result depends on, for JSON.
            what: What is being made, for messages: `simulation`, `reconstruction`.
            resume: Go on with what is there; begin where nothing is.
            overwrite: Throw away what is there.

        Raises:
            DataError: If something is there and neither was asked for, or it was begun with another request.
        """
        if resume and self.begun:
            self.check(request)
            return
        if self.begun and not overwrite:
            raise DataError(
                f"{self.path} holds an unfinished {what}: go on with --resume, or start anew with --overwrite"
            )
        self.remove()
        self.begin(request)

    def begin(self, request: Mapping[str, object]) -> None:
        """Start an empty folder for a request that JSON can hold.

        Raises:
            DataError: If it cannot be written.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}") from error
        self.write(_SETTINGS, json.dumps(request, indent=1).encode())

    def request(self) -> dict[str, object]:
        """The request that the folder was begun for.

        Raises:
            DataError: If it cannot be read.
        """
        path = self.path / _SETTINGS
        try:
            begun = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is missing or damaged: start anew with --overwrite") from error
        if not isinstance(begun, dict):
            raise DataError(f"{path} does not hold settings: start anew with --overwrite")
        return begun

    def check(self, request: Mapping[str, object]) -> None:
        """Check that the folder was begun for the same request.

        Raises:
            DataError: If it was not; the message names what differs.
        """
        differences = [*_differences(self.request(), json.loads(json.dumps(request)))]
        if differences:
            raise DataError(
                f"{self.path} was begun with {'; '.join(differences)}: resume with what it was begun with, "
                "or start anew with --overwrite"
            )

    def write(self, name: str, content: bytes) -> None:
        """Write a file: all of it or, if the process is killed meanwhile, nothing.

        Raises:
            DataError: If it cannot be written; the files before it are safe.
        """
        path = self.path / name
        temporary = path.with_name(f".{name}.{os.getpid()}.tmp")
        try:
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise DataError(
                    f"the disk is full: {path} could not be written; what was written before is safe: "
                    "free some space and go on with --resume"
                ) from error
            raise DataError(f"cannot write {path}: {error.strerror}") from error

    @property
    def finished(self) -> bool:
        """Whether `finish` was called and a kill kept it from its end: the output is whole."""
        return self._place("finished").exists()

    def finish(self) -> None:
        """Remove the folder, since what it was for is done.

        Raises:
            DataError: If something of it cannot be removed.
        """
        self._remove("finished")

    def remove(self) -> None:
        """Throw away the folder and all that is in it.

        Raises:
            DataError: If something of it cannot be removed: the next run would take old blocks for its own.
        """
        self._remove("discarded")

    def _place(self, state: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{state}")

    def _remove(self, state: str) -> None:
        """Take the folder's name away at once, then remove it: a kill leaves no folder that looks unfinished."""
        try:
            for left in (self._place("finished"), self._place("discarded")):
                if left.exists():
                    shutil.rmtree(left)
            if self.path.exists():
                self.path.replace(self._place(state))
                shutil.rmtree(self._place(state))
        except OSError as error:
            raise DataError(f"{self.path} cannot be removed ({error.strerror}): remove it by hand") from error


def _differences(begun: Mapping[str, object], now: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """What differs between two nested mappings; long values are only named."""
    for key in sorted({*begun, *now}):
        before, after = begun.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{prefix}{key}.")
        elif isinstance(before, list) or isinstance(after, list):
            yield f"other {prefix}{key}"
        else:
            yield f"{prefix}{key} {before} (now {after})"
