"""Checkpoints: the whole state of a run, written atomically."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from training.config import TrainConfig
from vfxmatte.errors import OutputError, TrainingError
from vfxmatte.io.temporary import renamed_when_whole, write_whole
from vfxmatte.network.architectures import network_config
from vfxmatte.network.dim import DeepImageMatting, DimConfig


def save_checkpoint(path: Path, state: dict[str, Any], config: TrainConfig) -> None:
    """Write `state` and, beside it, the configuration as JSON.

    Ctrl-C takes effect when the files are complete.

    Raises:
        TrainingError: full disk or the like; the previous checkpoint is still there.
    """
    record = config.as_dict()
    with _writing(path):
        _write_state(path, {**state, "config": record})
        write_whole(path.with_suffix(".json"), json.dumps(record, indent=2) + "\n")


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` alone, as `save_checkpoint` does."""
    with _writing(path):
        _write_state(path, state)


def _write_state(path: Path, state: dict[str, Any]) -> None:
    with renamed_when_whole(path) as partial, partial.open("wb") as stream:
        torch.save(state, stream)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Postpone Ctrl-C to the end of the block, and turn what it raises into a TrainingError."""
    try:
        with interrupts_postponed():
            yield
    except (OSError, RuntimeError, OutputError) as error:
        _raise_interruption(error)
        reason = error.what if isinstance(error, OutputError) else error
        raise TrainingError(
            f"the checkpoint cannot be written: {reason}",
            path=path,
            hint="the previous checkpoint is intact; make room and resume",
        ) from error


@contextmanager
def interrupts_postponed() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C at the end of the block.

    Libraries that write files mistake an interruption for a file that cannot be written. Signals
    arrive in the main thread only; in others nothing is postponed.
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
    """Raise KeyboardInterrupt if one is the cause of a library's error."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt
        error = error.__cause__ or error.__context__


def load_checkpoint(path: Path, config: TrainConfig) -> dict[str, Any]:
    """Load a saved state.

    Raises:
        TrainingError: damaged, or of another architecture.
    """
    state = read_checkpoint(path)
    missing = {"network", "optimiser", "step", "config"} - set(state)
    if missing:
        raise TrainingError(f"not a checkpoint: no {', '.join(sorted(missing))}", path=path)
    saved = _network_of(state, path)
    if saved != config.network:
        raise TrainingError(
            f"the checkpoint is of another architecture: {saved.as_dict()}, "
            f"the configuration has {config.network.as_dict()}",
            path=path,
            hint="resume with the configuration that started the run, or choose another folder",
        )
    return state


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's state, unchecked.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        is_empty = path.is_file() and not path.stat().st_size
        reason = "it is empty" if is_empty else str(error) or type(error).__name__
        raise TrainingError(
            f"the checkpoint cannot be read: {reason}",
            path=path,
            hint="another checkpoint of the run, best.pt or last.pt, may be whole",
        ) from error
    return state


def _network_of(state: Mapping[str, Any], path: Path) -> DimConfig:
    """Read the configuration of a checkpoint's network; raises TrainingError."""
    try:
        return network_config(state["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"not a checkpoint of `vfxmatte-train train`: {error}",
            path=path,
            hint="checkpoints of `vfxmatte-train light` are exported by `export-light`",
        ) from error


def averaged_network(path: Path, state: Mapping[str, Any], *, refine: bool) -> DeepImageMatting:
    """Create a checkpoint's averaged (or, without averaging, live) network, not yet folded.

    Args:
        path: the checkpoint, for messages.
        state: from `read_checkpoint`.
        refine: False leaves stage 2 out.

    Raises:
        TrainingError: a checkpoint of another trainer.
    """
    saved = _network_of(state, path)
    network = replace(saved, refine=refine and saved.refine).build()
    tensors = state["average"] if state["config"]["ema"] else state["network"]
    network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    return network
