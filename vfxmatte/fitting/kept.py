"""Fits as files in the output folder: `fit/RECIPE.safetensors` with its sidecar; no torch.

A fit that did not help has a sidecar alone, so that it is not tried again.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.sidecar import file_sha256, sidecar_path

FOLDER = "fit"


@dataclass(frozen=True, kw_only=True)
class KeptFit:
    """A fit on disk."""

    path: Path
    """The weights; there are none if the fit is not used."""
    record: dict[str, Any]
    """The fields of `fit.FitRecord`."""
    sha256: str = ""

    @property
    def used(self) -> bool:
        return bool(self.record["used"])

    @property
    def name(self) -> str:
        """What decides the pixels: the weights, and how sure they have to be."""
        return f"{self.sha256[:24]}-{self.record['sure']:g}"

    @property
    def text(self) -> str:
        """What came of it, in words."""
        record = self.record
        change = f"{record['error_before']:.3f} to {record['error_after']:.3f}"
        where = f"on keyframe {record['withheld']}, which it had not seen"
        if self.used:
            return f"fitted to the shot: {where}, the error fell from {change}"
        return f"not fitted to the shot: {where}, the error would have gone from {change}"


def fit_path(output: Path, recipe: str) -> Path:
    """Return the path of the weights that a recipe gives."""
    return output / FOLDER / f"{recipe}.safetensors"


def kept_fit(output: Path, recipe: str) -> KeptFit | None:
    """Find the fit of a recipe; None if there is none, or a damaged one."""
    path = fit_path(output, recipe)
    try:
        sidecar = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
        fit = KeptFit(path=path, record=dict(sidecar["training"]), sha256=str(sidecar["sha256"]))
        whole = not fit.used or file_sha256(path) == fit.sha256
        return fit if whole and isinstance(fit.record["sure"], float) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_unused(output: Path, recipe: str, record: dict[str, Any]) -> None:
    """Write that a fit did not help. Raises OutputError."""
    with renamed_when_whole(sidecar_path(fit_path(output, recipe))) as partial:
        text = json.dumps({"format": 1, "sha256": "", "training": record}, indent=2)
        partial.write_text(text + "\n", encoding="utf-8")


def remove_others(output: Path, recipe: str) -> None:
    """Remove the fits of earlier recipes, as far as that is possible."""
    for path in (output / FOLDER).glob("*"):
        if path.stem != recipe and path.suffix in (".safetensors", ".json"):
            with contextlib.suppress(OSError):
                path.unlink()
