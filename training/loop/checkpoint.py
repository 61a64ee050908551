"""Checkpoints: everything a killed run needs, written whole or not at all."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from training.config import TrainConfig
from vfxmatte.errors import OutputError, TrainingError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.dim import DimConfig


def save_checkpoint(path: Path, state: dict[str, Any], config: TrainConfig) -> None:
    """Write `state` and, beside it, the configuration as JSON.

    Ctrl-C counts when the files are whole.

    Raises:
        TrainingError: full disk or the like; the previous checkpoint is still there.
    """
    record = config.as_dict()
    try:
        with interrupts_postponed():
            with renamed_when_whole(path) as partial, partial.open("wb") as stream:
                torch.save({**state, "config": record}, stream)
            with renamed_when_whole(path.with_suffix(".json")) as partial:
                partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except (OSError, RuntimeError, OutputError) as error:
        _raise_interruption(error)
        said = error.what if isinstance(error, OutputError) else error
        raise TrainingError(
            f"the checkpoint cannot be written: {said}",
            path=path,
            hint="the previous checkpoint is intact; make room and resume",
        ) from error


@contextmanager
def interrupts_postponed() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C when the block has ended, and not within it.

    Libraries that write files take an interruption for a file that cannot be written. Signals
    arrive in the main thread; in any other there is nothing to postpone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[tuple[int, FrameType | None]] = []
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed and callable(before):
            before(*pressed[-1])
        elif pressed:
            signal.raise_signal(signal.SIGINT)


def _raise_interruption(error: BaseException | None) -> None:
    """Raise KeyboardInterrupt where that is what an error of a library comes from."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt
        error = error.__cause__ or error.__context__


def load_checkpoint(path: Path, config: TrainConfig) -> dict[str, Any]:
    """The saved state.

    Raises:
        TrainingError: damaged, or of another architecture.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise TrainingError(f"the checkpoint cannot be read: {error}", path=path) from error
    missing = {"network", "optimiser", "step", "config"} - set(state)
    if missing:
        raise TrainingError(f"not a checkpoint: no {', '.join(sorted(missing))}", path=path)
    saved = DimConfig(**state["config"]["network"])
    if saved != config.network:
        raise TrainingError(
            f"the checkpoint is of another architecture: {saved.as_dict()}, "
            f"the configuration has {config.network.as_dict()}",
            path=path,
            hint="resume with the configuration that started the run, or choose another folder",
        )
    return state
