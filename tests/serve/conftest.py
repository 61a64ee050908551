"""Fixtures of servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gated_engine import register_gated
from tests.serve.running import Running


@pytest.fixture
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.end()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register_gated()
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    return tmp_path / "gate"
