"""A shot with two subjects, and what its runs give to the engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.subjects import contents, solve, write_subjects


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shot that all are copies of: their plates are as old, so fingerprints are equal."""
    return write_subjects(tmp_path_factory.mktemp("untouched") / "two of them")


@pytest.fixture
def folder(tmp_path: Path, untouched: Path) -> Path:
    return Path(shutil.copytree(untouched, tmp_path / "two of them"))


@pytest.fixture(scope="session")
def finished_shots(
    tmp_path_factory: pytest.TempPathFactory, untouched: Path
) -> Callable[..., Path]:
    """Return a function that runs such a shot once with each settings; its folder is read only."""
    shots: dict[str, Path] = {}

    def shot(**settings: Any) -> Path:
        key = json.dumps(settings, sort_keys=True)
        if key not in shots:
            shots[key] = tmp_path_factory.mktemp("finished") / "two of them"
            shutil.copytree(untouched, shots[key])
            solve(shots[key], **settings)
        return shots[key]

    return shot


@pytest.fixture
def finished(folder: Path, finished_shots: Callable[..., Path]) -> Callable[..., None]:
    """Return what does as `solve(folder, **settings)` does, by copying what was solved once."""

    def finish(**settings: Any) -> None:
        shutil.rmtree(folder)
        shutil.copytree(finished_shots(**settings), folder)

    return finish


@pytest.fixture
def at_once(finished_shots: Callable[..., Path]) -> Callable[..., dict[str, bytes]]:
    """Return a function for the mattes and trimaps of such a shot, solved at once with settings."""
    return lambda **settings: contents(finished_shots(**settings) / "matte")


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
