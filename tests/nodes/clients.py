"""Programs, options, events and homes for the tests of the client."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes.vfxmatte_client import Client
from nodes.vfxmatte_client.paths import endpoint_file as client_endpoint_file

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nodes" / "vfxmatte_client"
GATED = ROOT / "tests" / "gated_engine.py"
PATIENCE_SECONDS = 120.0

PROGRAM = [sys.executable, "-m", "vfxmatte"]
GATED_PROGRAM = [
    sys.executable, "-c",
    f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'vfxmatte'; "
    f"runpy.run_path({str(GATED)!r}, run_name='__main__')",
]  # fmt: skip


def options_of(shot: Path, weights: Path, **more: Any) -> dict[str, Any]:
    return {"shot": str(shot), "weights": str(weights), "device": "cpu", **more}


class Recorder:
    """Takes events, and waits for one."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    def __call__(self, record: dict[str, Any]) -> None:
        with self.changed:
            self.records.append(record)
            self.changed.notify_all()

    def wait_for(self, **values: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: any(values.items() <= one.items() for one in self.records),
                PATIENCE_SECONDS,
            ), self.records

    def frames(self) -> list[tuple[int, str]]:
        return [(r["frame"], r["status"]) for r in self.records if r["event"] == "frame"]

    def notes(self) -> str:
        return "\n".join(r["text"] for r in self.records if r["event"] == "note")


def empty_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without anything; the server that a test leaves there is ended."""
    monkeypatch.setenv("VFXMATTE_HOME", str(folder / "home"))
    monkeypatch.delenv("VFXMATTE_COMMAND", raising=False)
    monkeypatch.setenv("GATE", str(folder / "gate"))
    yield folder / "home"
    Client().shutdown()


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def listening_stranger() -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    """A listening socket of another program, and an endpoint record that names its port."""
    Path(client_endpoint_file()).parent.mkdir(parents=True)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        yield listening, {"port": port, "token": "old", "pid": 1, "protocol": 1}


def write_record(record: dict[str, Any], mode: int = 0o600) -> None:
    path = Path(client_endpoint_file())
    path.write_text(json.dumps(record))
    path.chmod(mode)
