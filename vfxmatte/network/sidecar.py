"""The JSON file beside weights, which describes them; reading it needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfxmatte.errors import WeightsError

SIDECAR_FORMAT = 1
AGAIN = "copy the .safetensors and its .json again, together"
_SHIPPED = Path(__file__).parent.parent / "weights"
DEFAULT_WEIGHTS = _SHIPPED / "light.safetensors"


def named_weights(path: Path | None) -> Path:
    """Return the weights' file that is meant: None is the default one, and the bare name of a
    shipped one (`dim`) that file, if there is nothing of that name here."""
    if path is None:
        return DEFAULT_WEIGHTS
    shipped = _SHIPPED / f"{path}.safetensors"
    is_name = len(path.parts) == 1 and not path.suffix and shipped.is_file()
    return shipped if is_name and not path.exists() else path


def sidecar_path(path: Path) -> Path:
    return path.with_suffix(".json")


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the record of the weights at `path`; the tensors stay unread.

    Raises:
        WeightsError: no such file, no sidecar, or one that this version does not understand.
    """
    if not path.is_file():
        raise WeightsError(
            "no such weights file", path=path, hint="give a .safetensors file to --weights"
        )
    if path.suffix == ".pt":
        raise WeightsError(
            "this is a checkpoint or an exported model, no weights file",
            path=path,
            hint="vfxmatte-train export, or export-light, makes weights of a checkpoint",
        )
    sidecar = sidecar_path(path)
    try:
        record: dict[str, Any] = json.loads(sidecar.read_text(encoding="utf-8"))
        version = record["format"]
    except FileNotFoundError as error:
        raise WeightsError(
            "these weights have no sidecar",
            path=sidecar,
            hint="keep the .json that was written beside the .safetensors",
        ) from error
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise WeightsError(
            f"the sidecar cannot be understood: {error!r}",
            path=sidecar,
            hint=AGAIN,
        ) from error
    if version != SIDECAR_FORMAT:
        raise WeightsError(
            f"sidecar format {version}, expected {SIDECAR_FORMAT}",
            path=sidecar,
            hint="update vfxmatte, or use weights that were made for this version",
        )
    return record


def check_intact(path: Path, record: Mapping[str, Any]) -> None:
    """Raise WeightsError if the file is not the one that `record`, of its sidecar, describes."""
    if file_sha256(path) != record.get("sha256"):
        raise WeightsError(
            "weights are damaged, or not those that the sidecar describes: the sha256 differs",
            path=path,
            hint=AGAIN,
        )


def is_light(path: Path) -> bool:
    """Return True if the weights at `path` are a light network's; errors as of `read_sidecar`."""
    return read_sidecar(path).get("architecture") == "light"
