"""The trajectories of MD17, fetched from their home: tried again, resumed, and checked against a recorded sum."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from neuralmd.errors import DataError

if TYPE_CHECKING:
    from requests import Response

HOME: Final = "http://www.quantum-machine.org/gdml/data/npz/"
CITATION: Final = (
    "S. Chmiela, A. Tkatchenko, H. E. Sauceda, I. Poltavsky, K. T. Schütt, K.-R. Müller, Science Advances 3 (2017) "
    "e1603015, doi 10.1126/sciadv.1603015"
)
TIMESTEP: Final = 0.5
"""Time from frame to frame [fs] in all of MD17; the files do not state it."""

_CHUNK: Final = 2**14
_TIMEOUT: Final = 30.0
_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Dataset:
    """A trajectory that can be downloaded.

    Attributes:
        name: What users call it.
        file: Its file, in the folder of its home.
        frames: How many frames its authors state.
    """

    name: str
    file: str
    frames: int


DATASETS: Final = (
    Dataset("md17-aspirin", "md17_aspirin.npz", 211_762),
    Dataset("md17-azobenzene", "azobenzene_dft.npz", 99_999),
    Dataset("md17-benzene", "md17_benzene2017.npz", 627_983),
    Dataset("md17-ethanol", "md17_ethanol.npz", 555_092),
    Dataset("md17-malonaldehyde", "md17_malonaldehyde.npz", 993_237),
    Dataset("md17-naphthalene", "md17_naphthalene.npz", 326_250),
    Dataset("md17-paracetamol", "paracetamol_dft.npz", 106_490),
    Dataset("md17-salicylic-acid", "md17_salicylic.npz", 320_231),
    Dataset("md17-toluene", "md17_toluene.npz", 442_790),
    Dataset("md17-uracil", "md17_uracil.npz", 133_770),
)
"""The ten trajectories of MD17: DFT (PBE with Tkatchenko-Scheffler dispersion), 500 K, forces, no velocities."""

Progress = Callable[[int, int], None]
"""Takes how many bytes are there, and how many the file has."""


def find(name: str) -> Dataset:
    """The data set of a name.

    Raises:
        DataError: If there is none; the message lists the names.
    """
    for dataset in DATASETS:
        if dataset.name == name.strip().casefold().replace("_", "-").replace(" ", "-"):
            return dataset
    raise DataError(f"nothing to download is called {name!r}: expected one of {', '.join(d.name for d in DATASETS)}")


def download(dataset: Dataset, folder: Path, home: str = HOME, progress: Progress | None = None) -> Path:
    """Fetch a data set, unless it is there already; a file that was put there by hand is taken as it is.

    A download that breaks off is tried again from where it stopped, by this call and by the next one. The SHA-256 sum
    of what came is recorded beside the file, `FILE.sha256`, and verified at each later call: MD17's home publishes
    none.

    Args:
        dataset: What to fetch.
        folder: Folder to put it into; made where it does not exist.
        home: Address of the folder that holds the file.
        progress: Told how far the download is.

    Returns:
        The file.

    Raises:
        DataError: If the server cannot be reached or lacks the file, if what came is no .npz archive, or if the file
            has changed since it was recorded. What was there before is left as it is.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    path, recorded = folder / dataset.file, recorded_sum(folder / dataset.file)
    if path.exists():
        if recorded is None:
            _record(path)
        verify(path)
        return path
    store = pooch.create(folder, base_url=home, registry={dataset.file: None}, retry_if_failed=_RETRIES)
    with _refusals(store.get_url(dataset.file), path):
        store.fetch(dataset.file, downloader=_Resuming(path, progress))  # pyright: ignore[reportArgumentType]
    _record(path)
    return path


def recorded_sum(path: Path) -> str | None:
    """The SHA-256 sum that was recorded when a file was downloaded; none for other files."""
    try:
        words = _sum_file(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0] if words else None


def verify(path: Path) -> None:
    """Compare a file with the sum that was recorded when it was downloaded, if there is one.

    Raises:
        DataError: If they differ.
    """
    recorded = recorded_sum(path)
    if recorded is None:
        return
    found = _sum_of(path)
    if found != recorded:
        raise DataError(
            f"{path} has changed since it was downloaded: SHA-256 {found[:12]}..., but {recorded[:12]}... was recorded "
            f"in {_sum_file(path).name}; delete both and download it again"
        )


def _sum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(path: Path) -> None:
    """In the format of sha256sum, so that `sha256sum --check` reads it."""
    _sum_file(path).write_text(f"{_sum_of(path)}  {path.name}\n", encoding="utf-8")


@contextmanager
def _refusals(url: str, path: Path) -> Iterator[None]:
    """What can go wrong on the way, as one line."""
    from requests.exceptions import HTTPError, RequestException

    try:
        yield
    except HTTPError as error:
        raise DataError(
            f"{url} could not be downloaded ({error}): if the file has moved, fetch it by hand and put it to {path}"
        ) from error
    except RequestException as error:
        raise DataError(
            f"{urlsplit(url).hostname} cannot be reached ({_reason(error)}): check the network and run the command "
            f"again, which goes on from where it stopped; or fetch {url} by hand and put it to {path}"
        ) from error


def _reason(error: BaseException) -> str:
    """The innermost cause, which is what tells: a name that is not known, a refused connection, a time-out."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _validator(headers: Mapping[str, str]) -> str:
    """What tells one version of the server's file from another; a weak ETag does not, byte by byte."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


class _Resuming:
    """Downloads to a part beside the file, from where an earlier attempt stopped if the server's file is the same."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self._part = path.with_name(f"{path.name}.part")
        self._tag = path.with_name(f"{path.name}.part.etag")
        self._progress = progress

    def __call__(self, url: str, output: str, _store: object) -> None:
        """Fetch an address to an output, as pooch wants it."""
        import requests

        with requests.get(url, headers=self._continuation(), stream=True, timeout=_TIMEOUT) as response:
            if response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                response.raise_for_status()
                self._receive(response)
        self._check(url)
        shutil.move(self._part, output)
        self._tag.unlink(missing_ok=True)

    def _continuation(self) -> dict[str, str]:
        """What asks the server for the rest, and for the whole if its file is no longer the one that was begun."""
        whole = {"Accept-Encoding": "identity"}
        if not self._part.exists() or not self._tag.exists():
            return whole
        tag = self._tag.read_text(encoding="utf-8")
        return whole | {"Range": f"bytes={self._part.stat().st_size}-", "If-Range": tag} if tag else whole

    def _receive(self, response: Response) -> None:
        resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
        done = self._part.stat().st_size if resumed else 0
        total = done + int(response.headers.get("Content-Length", 0))
        self._tag.write_text(_validator(response.headers), encoding="utf-8")
        with self._part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if self._progress is not None:
                    self._progress(done, total)

    def _check(self, url: str) -> None:
        """A page that says "moved" also comes with the code for success."""
        try:
            with zipfile.ZipFile(self._part) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, OSError) as error:
            damaged = str(error)
        if damaged is not None:
            self._part.unlink()
            self._tag.unlink(missing_ok=True)
            raise DataError(f"what {url} sent is no .npz archive ({damaged}): look at that address in a browser")
