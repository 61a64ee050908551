"""Weights files: safetensors with a JSON sidecar of the same name.

The tensors are a folded network in half precision. The sidecar holds the network's architecture and
configuration, the input encoding, the training record, the measured quality and the file's sha256.
Loading is strict: nothing missing, nothing left over, nothing damaged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from vfxmatte.colour import NETWORK_ENCODING
from vfxmatte.errors import OutputError, WeightsError
from vfxmatte.io.temporary import renamed_when_whole, write_whole
from vfxmatte.network.sidecar import (
    AGAIN,
    SIDECAR_FORMAT,
    check_intact,
    file_sha256,
    read_sidecar,
    sidecar_path,
)


class NetworkConfig(Protocol):
    """A network's shape, as a sidecar holds it."""

    @property
    def architecture(self) -> str: ...

    @property
    def batch_norm(self) -> bool: ...

    def as_dict(self) -> dict[str, Any]: ...


Config = TypeVar("Config", bound=NetworkConfig)
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class WeightsInfo(Generic[Config]):
    """The content of a sidecar."""

    path: Path
    network: Config
    """The configuration that the tensors fit."""
    encoding: str
    """Name of the input curve."""
    sha256: str
    """Digest of the safetensors file."""
    name: str = ""
    licence: str = ""
    """SPDX name."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """How the weights were made."""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    """The errors that were measured."""


def save_folded(
    path: Path,
    network: nn.Module,
    config: NetworkConfig,
    *,
    name: str,
    licence: str = "Apache-2.0",
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write a folded network and its sidecar, each whole or not at all; return the sha256.

    Raises:
        WeightsError: the network still has batch-norms, or values that are no numbers, or a file
            cannot be written.
    """
    if config.batch_norm:
        raise WeightsError("weights are saved folded: call `fold()` on a copy of the network first")
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in network.state_dict().items()}
    spoilt = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if spoilt:
        raise WeightsError(
            f"weights are not finite numbers: {', '.join(spoilt[:3])}",
            path=path,
            hint="the training has gone astray; take an earlier checkpoint",
        )
    try:
        with renamed_when_whole(path) as partial:
            partial.write_bytes(save(tensors))  # save_file would keep other users from reading it
            sha256 = file_sha256(partial)
        record = {
            "format": SIDECAR_FORMAT,
            "name": name,
            "licence": licence,
            "sha256": sha256,
            "encoding": NETWORK_ENCODING,
            "architecture": config.architecture,
            "network": config.as_dict(),
            "training": dict(training or {}),
            "evaluation": dict(evaluation or {}),
        }
        write_whole(sidecar_path(path), json.dumps(record, indent=2) + "\n")
    except (OutputError, SafetensorError) as error:
        raise WeightsError(
            f"weights cannot be written: {getattr(error, 'what', error)}",
            path=path,
            hint="is the disk full, or the folder read-only?",
        ) from error
    return sha256


def read_info_as(path: Path, config: Callable[[Mapping[str, Any]], Config]) -> WeightsInfo[Config]:
    """Read and check the sidecar of the weights at `path`; the tensors stay unread.

    Args:
        config: makes the configuration of a record; raises KeyError, TypeError or ValueError for
            one that this version does not understand.

    Raises:
        WeightsError: no such file, no sidecar, or one that this version does not understand.
    """
    record = read_sidecar(path)
    try:
        return WeightsInfo(
            path=path,
            network=config(record),
            encoding=record["encoding"],
            sha256=record["sha256"],
            name=record.get("name", path.stem),
            licence=record.get("licence", ""),
            training=record.get("training", {}),
            evaluation=record.get("evaluation", {}),
        )
    except WeightsError as error:
        raise error.at(path=path) from error.__cause__
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"the sidecar cannot be understood: {error!r}",
            path=sidecar_path(path),
            hint=f"{AGAIN}, or update vfxmatte",
        ) from error


def load_as(info: WeightsInfo[Config], build: Callable[[Config], Network]) -> Network:
    """Load the folded network in float32 on the CPU, in eval mode.

    Raises:
        WeightsError: damaged (the sha256 differs), another architecture, another encoding.
    """
    if info.encoding != NETWORK_ENCODING:
        raise WeightsError(
            f"weights expect the input encoding {info.encoding!r}, this version has "
            f"{NETWORK_ENCODING!r}",
            path=info.path,
            hint="use weights that were made for this version of vfxmatte",
        )
    check_intact(info.path, {"sha256": info.sha256})
    network = build(info.network)
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(info.path).items()}
        network.load_state_dict(tensors, strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(
            f"weights do not fit the network that the sidecar describes: {error}",
            path=info.path,
            hint=AGAIN,
        ) from error
    return network.eval()
