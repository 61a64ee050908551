"""Portrait weights: safetensors with a JSON sidecar of the same name, as the matting network's.

The tensors are the folded network in half precision, the mean matte and λ among them.
"""

from __future__ import annotations

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
from vfxmatte.keyframes.portrait_network import PortraitConfig, PortraitMatting
from vfxmatte.keyframes.systems import SolverSettings
from vfxmatte.network.sidecar import SIDECAR_FORMAT, file_sha256, read_sidecar
from vfxmatte.network.weights import write_sidecar

ARCHITECTURE = "portrait-fcn8s"

_AGAIN = "copy the .safetensors and its .json again, together"


@dataclass(frozen=True, kw_only=True)
class PortraitInfo:
    """What a sidecar says; see `vfxmatte.network.weights.WeightsInfo`."""

    path: Path
    network: PortraitConfig
    sha256: str
    name: str
    licence: str
    training: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)


def save_portrait_weights(
    path: Path,
    network: PortraitMatting,
    *,
    name: str,
    licence: str = "Apache-2.0",
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> PortraitInfo:
    """Write a folded network and its sidecar; each appears whole or not at all.

    Raises:
        WeightsError: the network still has batch-norms, or the file cannot be written.
    """
    if network.config.batch_norm:
        raise WeightsError("weights are saved folded: call `fold()` on a copy of the network first")
    tensors = {
        key: value.detach().to("cpu", torch.float16).contiguous()
        for key, value in network.state_dict().items()
    }
    try:
        with renamed_when_whole(path) as partial:
            partial.write_bytes(save(tensors))
            sha256 = file_sha256(partial)
        record = {
            "format": SIDECAR_FORMAT,
            "architecture": ARCHITECTURE,
            "name": name,
            "licence": licence,
            "sha256": sha256,
            "encoding": NETWORK_ENCODING,
            "network": network.config.as_dict(),
            "training": dict(training or {}),
            "evaluation": dict(evaluation or {}),
        }
        write_sidecar(path, record)
    except (OutputError, SafetensorError) as error:
        raise WeightsError(
            f"weights cannot be written: {getattr(error, 'what', error)}", path=path
        ) from error
    return read_portrait_info(path)


def read_portrait_info(path: Path) -> PortraitInfo:
    """The sidecar, checked; the tensors stay unread. Raises WeightsError."""
    record = read_sidecar(path)
    if record.get("architecture") != ARCHITECTURE:
        raise WeightsError(
            "these are not weights for automatic trimaps",
            path=path,
            hint="`vfxmatte-train portraits` makes such weights; `run --weights` takes the others",
        )
    try:
        if record["encoding"] != NETWORK_ENCODING:
            raise ValueError(f"input encoding {record['encoding']!r}, not {NETWORK_ENCODING!r}")
        return PortraitInfo(
            path=path,
            network=PortraitConfig(**record["network"]),
            sha256=record["sha256"],
            name=record.get("name", path.stem),
            licence=record.get("licence", ""),
            training=record.get("training", {}),
            evaluation=record.get("evaluation", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"the sidecar cannot be understood: {error!r}", path=path, hint=_AGAIN
        ) from error


def load_portrait_weights(
    path: Path, settings: SolverSettings | None = None
) -> tuple[PortraitMatting, PortraitInfo]:
    """The folded network in float32 on the CPU, in eval mode, and its sidecar.

    Raises:
        WeightsError: missing, damaged (the sha256 differs), or of another architecture.
    """
    info = read_portrait_info(path)
    if file_sha256(path) != info.sha256:
        raise WeightsError(
            "weights are damaged, or not those that the sidecar describes: the sha256 differs",
            path=path,
            hint=_AGAIN,
        )
    network = PortraitMatting(info.network, settings)
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        network.load_state_dict(tensors, strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(
            f"weights do not fit the network that the sidecar describes: {error}",
            path=path,
            hint=_AGAIN,
        ) from error
    return network.eval(), info
