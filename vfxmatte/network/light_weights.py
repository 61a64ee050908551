"""Weights files of the light network: safetensors with a JSON sidecar, as `weights` has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from vfxmatte.colour import NETWORK_ENCODING
from vfxmatte.errors import OutputError, WeightsError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.light import LightConfig, LightMatting
from vfxmatte.network.sidecar import SIDECAR_FORMAT, file_sha256, read_sidecar
from vfxmatte.network.weights import write_sidecar

ARCHITECTURE = "light"

_COPY = "copy the .safetensors and its .json again, together"


def save_light_weights(
    path: Path,
    network: LightMatting,
    *,
    name: str,
    licence: str = "Apache-2.0",
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write a folded network and its sidecar, each whole or not at all; returns the sha256.

    Raises:
        WeightsError: the network still has batch-norms, or the file cannot be written.
    """
    if network.config.batch_norm:
        raise WeightsError("weights are saved folded: call `fold()` on a copy of the network first")
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in network.state_dict().items()}
    try:
        with renamed_when_whole(path) as partial:
            partial.write_bytes(save(tensors))
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
    return sha256


def load_light_weights(path: Path) -> tuple[LightMatting, str]:
    """The folded network in float32 on the CPU, in eval mode, and the file's sha256.

    Raises:
        WeightsError: damaged (the sha256 differs), another architecture, another encoding.
    """
    record = read_sidecar(path)
    if record.get("architecture") != ARCHITECTURE:
        raise WeightsError("these are no weights of the light network", path=path)
    if record.get("encoding") != NETWORK_ENCODING:
        raise WeightsError(
            f"weights expect the input encoding {record.get('encoding')!r}, this version has "
            f"{NETWORK_ENCODING!r}",
            path=path,
            hint="use weights that were made for this version of vfxmatte",
        )
    sha256 = file_sha256(path)
    if sha256 != record.get("sha256"):
        raise WeightsError(
            "weights are damaged, or not those that the sidecar describes: the sha256 differs",
            path=path,
            hint=_COPY,
        )
    try:
        network = LightMatting(LightConfig(**record["network"]))
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        network.load_state_dict(tensors, strict=True)
    except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(
            f"weights do not fit the network that the sidecar describes: {error}",
            path=path,
            hint=_COPY,
        ) from error
    return network.eval(), sha256
