"""Downloads from a real server, on localhost, with a file of MD17's layout."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from neuralmd.cli import main
from neuralmd.data.download import DATASETS, download, find, recorded_sum
from neuralmd.data.formats import open_reader
from neuralmd.errors import DataError

ETHANOL = find("md17-ethanol")
FRAMES = 400


class Server(ThreadingHTTPServer):
    """Serves one file with ranges; breaks off after some bytes, as often as told."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.breaks, self.ranges = content, '"1"', 0, []

    @property
    def home(self) -> str:
        """The address of its folder."""
        return f"http://127.0.0.1:{self.server_port}/npz/"


class Handler(BaseHTTPRequestHandler):
    """One answer."""

    server: Server

    def do_GET(self) -> None:
        """Send the file, or the rest of it."""
        content, asked = self.server.content, self.headers.get("Range")
        if not self.path.endswith(ETHANOL.file):
            self.send_error(404)
            return
        self.server.ranges.append(asked)
        start = 0
        if asked and self.headers.get("If-Range") == self.server.tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("ETag", self.server.tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content)
        if self.server.breaks:
            self.server.breaks -= 1
            stop = start + (stop - start) // 2
        self.wfile.write(content[start:stop])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> bytes:
    """An .npz file with all keys of md17_ethanol.npz, in their shapes and types."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(FRAMES, 9, 3)).cumsum(0) * 1e-3
    path = tmp_path_factory.mktemp("md17") / "file.npz"
    np.savez(
        path,
        E=rng.normal(-97_000, 1, (FRAMES, 1)),
        name=np.array(b"ethanol"),
        F=rng.normal(size=(FRAMES, 9, 3)),
        theory=np.array(b"DFT PBE+vdW-TS (FHI-aims)"),
        R=rng.normal(size=(9, 3)) * 2 + steps,
        z=np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], dtype=np.uint8),
        type=np.array(b"d"),
        md5=np.array(b"4b8e2d6a3c9f"),
    )
    return path.read_bytes()


@pytest.fixture
def server(layout) -> Iterator[Server]:
    with Server(layout) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch) -> None:
    """Between attempts pooch waits for seconds."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_what_comes_is_a_trajectory(server, tmp_path) -> None:
    seen = []
    path = download(ETHANOL, tmp_path / "data", server.home, lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "data" / "md17_ethanol.npz"
    assert path.read_bytes() == server.content
    assert seen[-1] == (len(server.content), len(server.content))
    with open_reader(path, timestep=0.5) as reader:
        assert (reader.frames, reader.system.atoms) == (FRAMES, 9)
        assert {"forces", "energies"} <= reader.fields
    assert sorted(file.name for file in path.parent.iterdir()) == ["md17_ethanol.npz", "md17_ethanol.npz.sha256"]


def test_it_is_fetched_once(server, tmp_path) -> None:
    for _ in range(2):
        download(ETHANOL, tmp_path, server.home)
    assert server.ranges == [None]


def test_a_change_is_noticed_at_the_next_use(server, tmp_path) -> None:
    path = download(ETHANOL, tmp_path, server.home)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="has changed since it was downloaded"):
        download(ETHANOL, tmp_path, server.home)
    with pytest.raises(DataError, match="has changed since it was downloaded"):
        open_reader(path, timestep=0.5)
    assert path.read_bytes() == content


def test_a_file_put_there_by_hand_is_taken(server, tmp_path) -> None:
    path = tmp_path / ETHANOL.file
    path.write_bytes(server.content)
    assert download(ETHANOL, tmp_path, "http://127.0.0.1:9/") == path
    assert recorded_sum(path) is not None


def test_a_broken_connection_goes_on_where_it_stopped(server, tmp_path) -> None:
    server.breaks = 2
    path = download(ETHANOL, tmp_path, server.home)
    first, *starts = server.ranges
    second, third = (int(asked.removeprefix("bytes=").removesuffix("-")) for asked in starts)
    assert first is None
    assert 0.4 * len(server.content) < second < third < 0.76 * len(server.content)
    assert path.read_bytes() == server.content


def test_the_next_call_goes_on_too_unless_the_file_is_another(server, tmp_path) -> None:
    server.breaks = 4
    with pytest.raises(DataError, match="run the command again, which goes on"):
        download(ETHANOL, tmp_path, server.home)
    server.tag = '"2"'
    path = download(ETHANOL, tmp_path, server.home)
    assert len(server.ranges) == 5
    assert server.ranges[-1] is not None
    assert path.read_bytes() == server.content


def test_a_missing_file(server, tmp_path) -> None:
    with pytest.raises(DataError, match=r"md17_uracil.npz could not be downloaded \(404 "):
        download(find("md17-uracil"), tmp_path, server.home)


def test_a_page_in_place_of_the_file(server, tmp_path) -> None:
    server.content = b"<html>This site has moved.</html>"
    with pytest.raises(DataError, match=r"is no \.npz archive"):
        download(ETHANOL, tmp_path, server.home)
    assert list(tmp_path.iterdir()) == []


def command(capsys, *words: object) -> tuple[int, str, str]:
    """The exit code of `neuralmd download`, and what it prints."""
    with pytest.raises(SystemExit) as end:
        main(["download", *map(str, words)])
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


def test_the_command(server, tmp_path, capsys) -> None:
    code, out, _ = command(capsys, "md17-ethanol", "--folder", tmp_path, "--home", server.home)
    assert code == 0
    assert "md17_ethanol.npz: 555092 frames by its authors" in out
    assert "doi 10.1126/sciadv.1603015" in out


def test_offline(tmp_path, capsys) -> None:
    code, _, err = command(capsys, "md17-ethanol", "--folder", tmp_path, "--home", "http://127.0.0.1:9/npz/")
    assert code == 2
    assert err.count("\n") == 1
    assert "127.0.0.1 cannot be reached (Connection refused)" in err


def test_the_list(capsys) -> None:
    _, out, _ = command(capsys)
    assert all(dataset.name in out for dataset in DATASETS)
    code, _, err = command(capsys, "md18")
    assert code == 2
    assert "expected one of md17-aspirin" in err
