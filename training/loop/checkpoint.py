"""Checkpoints: the whole state of a run, written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training.config import TrainConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.architectures import network_config
from vfxmatte.network.dim import DeepImageMatting


def save_checkpoint(path: Path, state: dict[str, Any], config: TrainConfig) -> None:
    """Write `state` and, beside it, the configuration as JSON.

    Raises:
        TrainingError: full disk or the like; the previous checkpoint is still there.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as stream:
            torch.save({**state, "config": config.as_dict()}, stream)
            stream.flush()
            os.fsync(stream.fileno())  # else a power cut may leave an empty file under the new name
        path.with_suffix(".json").write_text(json.dumps(config.as_dict(), indent=2) + "\n")
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(
            f"the checkpoint cannot be written: {error}",
            path=path,
            hint="the previous checkpoint is intact; make room and resume",
        ) from error


def load_checkpoint(path: Path, config: TrainConfig) -> dict[str, Any]:
    """Load a saved state.

    Raises:
        TrainingError: damaged, or of another architecture.
    """
    state = read_checkpoint(path)
    missing = {"network", "optimiser", "step", "config"} - set(state)
    if missing:
        raise TrainingError(f"not a checkpoint: no {', '.join(sorted(missing))}", path=path)
    saved = network_config(state["config"])
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
        raise TrainingError(f"the checkpoint cannot be read: {error}", path=path) from error
    return state


def averaged_network(state: Mapping[str, Any], *, refine: bool) -> DeepImageMatting:
    """Create a checkpoint's averaged (or, without averaging, live) network, not yet folded.

    Args:
        state: from `read_checkpoint`.
        refine: False leaves stage 2 out.
    """
    saved = network_config(state["config"])
    network = replace(saved, refine=refine and saved.refine).build()
    tensors = state["average"] if state["config"]["ema"] else state["network"]
    network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    return network
