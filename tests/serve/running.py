"""A server in threads of the test, and the requests that its clients send."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.gated_engine import SETTINGS
from tests.raw_client import RawClient
from vfxmatte.serve.threads import Server

TOKEN = "the token of this test"


class Running:
    """A server in threads of this process."""

    def __init__(self, **options: Any) -> None:
        self.server = Server(**{"idle_seconds": None, **options})
        self.listener = self.server.listen()
        self.port = self.listener.getsockname()[1]
        self.server.accept_from(self.listener, TOKEN)
        self.clean: list[bool] = []
        self.thread = threading.Thread(target=lambda: self.clean.append(self.server.serve()))
        self.thread.start()
        self.clients: list[RawClient] = []

    def client(self, token: str | None = TOKEN) -> RawClient:
        self.clients.append(RawClient(self.port, token))
        return self.clients[-1]

    def end(self) -> None:
        self.server.stop()
        self.thread.join()
        self.server.close_clients()
        self.listener.close()
        for client in self.clients:
            client.close()
        assert self.clean == [True]


def gated(shot: Path, weights: Path, **more: Any) -> dict[str, Any]:
    """The parameters of a run that stops at the gate."""
    return {"shot": str(shot), "settings": {**SETTINGS, "engine.weights": str(weights)}, **more}


def plain(shot: Path, weights: Path, **more: Any) -> dict[str, Any]:
    settings = {"engine": {"weights": str(weights), "device": "cpu"}}
    return {"shot": str(shot), "settings": settings, **more}


def error_of(answer: dict[str, Any]) -> tuple[int, str]:
    return answer["error"]["code"], answer["error"]["message"]


def mattes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("matte.*"))}
