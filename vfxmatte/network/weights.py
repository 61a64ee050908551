"""Weights files: safetensors with a JSON sidecar of the same name.

The tensors are the folded network in half precision. The sidecar says what they are: the
network's configuration, the input encoding, the training record, the measured quality, and the
file's sha256. Loading is strict: nothing missing, nothing left over, nothing damaged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from vfxmatte.colour import NETWORK_ENCODING
from vfxmatte.errors import OutputError, WeightsError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.sidecar import (
    DEFAULT_WEIGHTS,
    SIDECAR_FORMAT,
    file_sha256,
    read_sidecar,
    sidecar_path,
)

__all__ = [
    "DEFAULT_WEIGHTS",
    "WeightsInfo",
    "file_sha256",
    "load_weights",
    "read_info",
    "save_weights",
    "sidecar_path",
    "write_sidecar",
]


ARCHITECTURE = "dim"
"""What a sidecar calls Deep Image Matting; sidecars that say nothing mean it."""


@dataclass(frozen=True, kw_only=True)
class WeightsInfo:
    """What a sidecar says.

    network: the configuration that the tensors fit. encoding: name of the input curve.
    sha256: of the safetensors file. training: how they were made. evaluation: how good they
    measured. licence: SPDX name.
    """

    path: Path
    network: DimConfig
    encoding: str
    sha256: str
    name: str = ""
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)


def save_weights(
    path: Path,
    network: DeepImageMatting,
    *,
    name: str,
    licence: str = "Apache-2.0",
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> WeightsInfo:
    """Write a folded network and its sidecar; each appears whole or not at all.

    Raises:
        WeightsError: the network still has batch-norms, or the file cannot be written.
    """
    if network.config.batch_norm:
        raise WeightsError("weights are saved folded: call `fold()` on a copy of the network first")
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in network.state_dict().items()}
    try:
        with renamed_when_whole(path) as partial:
            partial.write_bytes(save(tensors))  # save_file would keep other users from reading it
            sha256 = file_sha256(partial)
    except (OutputError, SafetensorError) as error:
        raise WeightsError(
            f"weights cannot be written: {getattr(error, 'what', error)}",
            path=path,
            hint="is the disk full, or the folder read-only?",
        ) from error
    record = {
        "format": SIDECAR_FORMAT,
        "name": name,
        "licence": licence,
        "sha256": sha256,
        "architecture": ARCHITECTURE,
        "encoding": NETWORK_ENCODING,
        "network": network.config.as_dict(),
        "training": dict(training or {}),
        "evaluation": dict(evaluation or {}),
    }
    write_sidecar(path, record)
    return read_info(path)


def write_sidecar(path: Path, record: Mapping[str, Any]) -> None:
    """Replace the sidecar of the weights at `path`, whole or not at all; raises OutputError."""
    with renamed_when_whole(sidecar_path(path)) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_info(path: Path) -> WeightsInfo:
    """The sidecar of the weights at `path`, checked; the tensors stay unread.

    Raises:
        WeightsError: no such file, no sidecar, or one that this version does not understand.
    """
    record = read_sidecar(path)
    architecture = record.get("architecture", ARCHITECTURE)
    if architecture != ARCHITECTURE:
        raise WeightsError(
            f"these weights are of the architecture {architecture!r}, wanted is {ARCHITECTURE!r}",
            path=path,
            hint="this part of vfxmatte runs Deep Image Matting only; give such weights",
        )
    try:
        return WeightsInfo(
            path=path,
            network=DimConfig(**record["network"]),
            encoding=record["encoding"],
            sha256=record["sha256"],
            name=record.get("name", path.stem),
            licence=record.get("licence", ""),
            training=record.get("training", {}),
            evaluation=record.get("evaluation", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"the sidecar cannot be understood: {error!r}",
            path=sidecar_path(path),
            hint="copy the .safetensors and its .json again, together, or update vfxmatte",
        ) from error


def load_weights(path: Path) -> tuple[DeepImageMatting, WeightsInfo]:
    """The folded network in float32 on the CPU, in eval mode, and its sidecar.

    Raises:
        WeightsError: damaged (the sha256 differs), another architecture, another encoding.
    """
    info = read_info(path)
    if info.encoding != NETWORK_ENCODING:
        raise WeightsError(
            f"weights expect the input encoding {info.encoding!r}, this version has "
            f"{NETWORK_ENCODING!r}",
            path=path,
            hint="use weights that were made for this version of vfxmatte",
        )
    if file_sha256(path) != info.sha256:
        raise WeightsError(
            "weights are damaged, or not those that the sidecar describes: the sha256 differs",
            path=path,
            hint="copy the .safetensors and its .json again, together",
        )
    network = DeepImageMatting(info.network)
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        network.load_state_dict(tensors, strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(
            f"weights do not fit the network that the sidecar describes: {error}",
            path=path,
            hint="copy the .safetensors and its .json again, together",
        ) from error
    return network.eval(), info
