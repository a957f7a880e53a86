"""A stand-in for wandb's server on this machine: it takes what `wandb sync` sends, and keeps the history of runs."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4
"""What passes for a login."""


@dataclass
class Received:
    """What has come.

    Attributes:
        address: Where the server is.
        runs: What each run was announced with, by its id.
        history: The logged lines, by run.
        summary: The summary, by run.
        files: Names of uploaded files.
        artifacts: Names of artifacts.
    """

    address: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summary: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)

    def stream(self, run: str, files: dict[str, Any]) -> None:
        """Take lines of a run down."""
        lines = files.get("wandb-history.jsonl", {}).get("content", [])
        self.history.setdefault(run, []).extend(json.loads(line) for line in lines)
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summary[run] = json.loads(line)

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question of wandb's client."""
        if "upsertBucket" in query:
            self.runs.setdefault(given["name"], given)
            project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": given["name"], "displayName": "", "description": "", "config": "{}"}
            return {"upsertBucket": {"bucket": bucket | {"project": project, "historyLineCount": 0}, "inserted": True}}
        if "createArtifact(" in query:
            self.artifacts.append(given["input"]["artifactCollectionName"])
            kept = {"id": "a", "state": "COMMITTED"}  # as if its content were there already
            sequence = {"id": "s", "latestArtifact": {"id": "a", "versionIndex": 0}}
            return {"createArtifact": {"artifact": kept | {"artifactSequence": sequence}}}
        if "createRunFiles" in query:
            places = [{"name": name, "uploadUrl": f"{self.address}/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": places}}
        return {"serverInfo": {"features": [], "cliVersionInfo": {}, "latestLocalVersionInfo": None}}


@contextmanager
def serving() -> Iterator[Received]:
    """A server while the context lasts."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Tell nobody."""

        def content(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

        def send(self, answer: dict[str, Any]) -> None:
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_PUT(self) -> None:
            self.content()
            received.files.append(self.path.rpartition("/")[2])
            self.send({})

        def do_POST(self) -> None:
            body = self.content()
            if self.path.endswith("/file_stream"):
                received.stream(self.path.split("/")[-2], json.loads(body).get("files", {}))
                self.send({})
            elif self.path.endswith("/graphql"):
                told = json.loads(body)
                self.send({"data": received.answer(told["query"], told.get("variables") or {})})
            else:
                self.send({})  # what wandb measures of itself

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield received
        server.shutdown()
    thread.join(5)
