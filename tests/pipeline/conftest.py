"""A shot with two subjects, and what its runs give to the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.subjects import write_subjects


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_subjects(tmp_path / "two of them")


@pytest.fixture
def solved_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The subject and the number of each frame that the engine is given, as the run goes on."""
    from vfxmatte.pipeline import chain as module

    calls: list[tuple[str, int]] = []
    whole = module.encode_colour

    def encode(run: Any, state: Any) -> None:
        whole(run, state)
        if state.task is not None:
            calls.append((state.subject, state.number))

    monkeypatch.setattr(module, "encode_colour", encode)
    return calls
