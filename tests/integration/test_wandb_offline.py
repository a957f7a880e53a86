"""Offline runs of wandb, read back from their own files: nothing asked, nothing sent, everything there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import environment
from wandb.proto import wandb_internal_pb2 as protocol
from wandb_server import KEY, serving

import neuralmd
from neuralmd.config import flatten, load

_BLOCK = 32768
_HEADER = 7


def read_back(folder: Path) -> Iterator[protocol.Record]:
    """The records of an offline run: LevelDB's log format, of protobuf messages."""
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    content, position, message = file.read_bytes(), _HEADER, b""
    assert content[:4] == b":W&B"
    while position < len(content):
        if _BLOCK - position % _BLOCK < _HEADER:
            position += _BLOCK - position % _BLOCK
            continue
        _, length, part = struct.unpack("<IHB", content[position : position + _HEADER])
        position += _HEADER
        message += content[position : position + length]
        position += length
        if part in {1, 4}:  # whole, or the last part
            record = protocol.Record()
            record.ParseFromString(message)
            message = b""
            yield record


def entries(items: Iterable[Any]) -> dict[str, object]:
    """Keys and values of a record; keys of wandb's own left out."""
    pairs = ((item.key or "/".join(item.nested_key), json.loads(item.value_json)) for item in items)
    return {key: value for key, value in pairs if not key.startswith("_")}


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A local address that takes down who connects: it stands for every server and every proxy."""
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    calls.append(connection.recv(200).decode(errors="replace"))

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def command(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """neuralmd in a process of its own, without a login, where any connection would be seen."""
    clean = {key: value for key, value in environment().items() if not key.startswith(("WANDB_", "NETRC"))}
    with listening() as (address, calls):
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "WANDB_BASE_URL")
        done = subprocess.run(
            [sys.executable, "-m", "neuralmd", *words],
            cwd=folder,
            env={**clean, "HOME": str(folder), **dict.fromkeys(names, address), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert calls == []
    assert done.returncode == 0, done.stderr
    return done


SHORT = ("training.max_steps=120", "training.validate_every=50", "tracking.wandb=offline")


@pytest.fixture(scope="module")
def tracked(water: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training and its evaluation, tracked offline."""
    from conftest import CONFIG

    folder = tmp_path_factory.mktemp("tracked")
    (folder / "water.h5").symlink_to(water)
    (folder / "water.yaml").write_text(CONFIG)
    done = command(folder, "train", "water.yaml", *SHORT, "tracking.model_artifact=true", "tracking.group=mine")
    assert done.stderr == ""
    command(folder, "evaluate", "runs/water")
    return folder / "runs" / "water"


def test_the_logged_history_is_the_jsonl(tracked: Path) -> None:
    history = [entries(record.history.item) for record in read_back(tracked) if record.HasField("history")]
    lines = [json.loads(line) for line in (tracked / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 4  # two validations, one report of the loss, and the last validation
    assert history == lines
    assert {key for line in lines for key in line} == {
        "step",
        "train/loss",
        "train/learning_rate",
        "train/minutes",
        "validation/mae_A",
        "validation/rmse_A",
        "validation/force_mae_eV_A",
        "validation/force_rmse_eV_A",
        "validation/best_mae_A",
    }


def test_config_summary_and_code_state(tracked: Path) -> None:
    found = list(read_back(tracked))
    (run,) = [record.run for record in found if record.HasField("run")]
    assert (run.run_group, run.display_name, run.project) == ("mine", "water", "neuralmd")
    config = entries(run.config.update)
    code = {key: config.pop(key) for key in list(config) if key.startswith("code.")}
    assert config == flatten(load(tracked / "config.yaml"))
    assert code["code.version"] == neuralmd.__version__
    if (Path(neuralmd.__file__).parents[1] / ".git").exists():
        assert len(str(code["code.commit"])) == 40
    summary: dict[str, object] = {}
    for record in found:
        if record.HasField("summary"):
            summary |= entries(record.summary.update)
    told = json.loads((tracked / "summary.json").read_text())
    assert {key: summary[key] for key in told} == told
    logged = [json.loads(line).get("validation/mae_A") for line in (tracked / "metrics.jsonl").read_text().splitlines()]
    assert told["validation/best_mae_A"] == min(value for value in logged if value is not None)
    assert any(record.HasField("stats") for record in found), "system metrics"


def test_the_model_is_an_artifact_where_it_is_asked_for(tracked: Path) -> None:
    artifacts = [record.request.log_artifact.artifact for record in read_back(tracked) if record.HasField("request")]
    artifacts += [record.artifact for record in read_back(tracked) if record.HasField("artifact")]
    (model,) = [artifact for artifact in artifacts if artifact.name]
    assert (model.name, model.type) == ("water", "model")
    (entry,) = model.manifest.contents
    assert entry.path == "model.pt"
    assert entry.size == (tracked / "model.pt").stat().st_size


def test_wandb_sync_sends_an_offline_run_whole(tracked: Path, tmp_path: Path) -> None:
    (folder,) = tracked.glob("wandb/offline-run-*")
    copy = shutil.copytree(folder, tmp_path / folder.name)  # it is marked as sent afterwards
    with serving() as received:
        login = {"WANDB_BASE_URL": received.address, "WANDB_API_KEY": KEY, "HOME": str(tmp_path)}
        clean = {name: value for name, value in environment().items() if not name.startswith("WANDB_")}
        sync = [sys.executable, "-m", "wandb", "sync", "--yes", str(copy)]
        done = subprocess.run(sync, env=clean | login, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (identity,) = received.runs
    assert identity == (tracked / "wandb-id").read_text().strip()
    assert received.runs[identity]["project"] == "neuralmd"
    assert received.runs[identity]["groupName"] == "mine"
    config = {name: one["value"] for name, one in json.loads(received.runs[identity]["config"]).items()}
    settings = flatten(load(tracked / "config.yaml"))
    assert {name: config[name] for name in settings} == settings
    sent = [{key: value for key, value in line.items() if key[0] != "_"} for line in received.history[identity]]
    assert sent == [json.loads(line) for line in (tracked / "metrics.jsonl").read_text().splitlines()]
    told = json.loads((tracked / "summary.json").read_text())
    assert {name: received.summary[identity][name] for name in told} == told
    assert "config.yaml" in received.files
    assert received.artifacts == ["water"]


def test_an_evaluation_is_a_run_beside_with_figures_and_table(tracked: Path) -> None:
    folder = tracked / "evaluation-stride10"
    found = list(read_back(folder))
    (run,) = [record.run for record in found if record.HasField("run")]
    assert (run.job_type, run.run_group, run.display_name) == ("evaluation", "mine", "water-stride10")
    assert run.run_id != (tracked / "wandb-id").read_text().strip()
    (shown,) = [entries(record.history.item) for record in found if record.HasField("history")]
    figures = {path.stem for path in folder.glob("*.png")}
    assert {"paths", "error-over-gap"} <= figures
    assert {name for name in figures if shown[f"{name}/_type"] == "image-file"} == figures
    (files,) = folder.glob("wandb/offline-run-*/files")
    table = json.loads((files / str(shown["table/path"])).read_text())
    errors = json.loads((folder / "errors.json").read_text())["methods"]
    assert {row[0]: row[1] for row in table["data"]} == {name: one["mae"] for name, one in errors.items()}
    assert (files / str(shown["paths/path"])).read_bytes() == (folder / "paths.png").read_bytes()


def test_a_run_under_wandbs_agent_has_the_agents_id_and_a_name_of_its_own(water: Path, tmp_path: Path) -> None:
    from test_sweep_runs import SWEEP, prepare

    prepare(tmp_path, water)
    sweep = tmp_path / "runs" / "small"
    sweep.mkdir(parents=True)
    (sweep / "sweep.yaml").write_text(SWEEP)
    words = "training.max_steps=2 config=node.yaml lstm.model.width=16 node.model.field.channels=2 run.root=runs/small"
    rate = "training.stages.0.learning_rate=0.002"
    agent = {"WANDB_SWEEP_ID": "abc123", "WANDB_RUN_ID": "r1un2id3", "WANDB_MODE": "offline", "WANDB_DIR": os.devnull}
    command(tmp_path, "train", *words.split(), rate, "tracking.wandb=auto", **agent)
    run = sweep / "node-r1un2id3"
    assert (run / "wandb-id").read_text().strip() == "r1un2id3"
    (sent,) = [record.run for record in read_back(run) if record.HasField("run")]
    assert (sent.run_id, sent.sweep_id) == ("r1un2id3", "abc123")
    (record,) = [json.loads(path.read_text()) for path in sweep.glob("trials/*.json")]
    assert record["state"] == "complete"
    assert record["values"] == {
        "config": "node.yaml",
        "node.model.field.channels": 2,
        "training.stages.0.learning_rate": 0.002,
    }
    assert record["value"] == json.loads((run / "summary.json").read_text())["validation/best_mae_A"]
