"""Fits as files in the output folder: `fit/RECIPE.safetensors` with its sidecar; no torch.

What the keyframes show of known pixels lies beside it, as `fit/RECIPE.npz`. A fit that did not help
has a sidecar alone, so that it is not tried again.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from vfxmatte.errors import OutputError
from vfxmatte.io.temporary import write_whole
from vfxmatte.network.sidecar import file_sha256, sidecar_path
from vfxmatte.prior.samples import Samples

FOLDER = "fit"
_PROBE_BYTES = 4_000_000  # more than a light network has


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
        """A digest of the weights, how they narrow a trimap, and whether they doubt: what decides
        the pixels."""
        record = self.record
        doubts = "-doubts" if record["doubts"] else ""
        return f"{self.sha256[:24]}-{record['sure']:g}-{record['margin']:d}{doubts}"

    def samples(self) -> Samples:
        """Read what the keyframes show of known pixels; for the errors see `Samples.unpacked`."""
        return Samples.unpacked(samples_path(self.path))

    @property
    def text(self) -> str:
        """The outcome in words."""
        record = self.record
        if record["withheld"] is None:
            return f"not fitted to the shot: {record['why']}"
        change = f"{record['error_before']:.3f} to {record['error_after']:.3f}"
        where = f"on keyframe {record['withheld']}, which it had not seen"
        if self.used:
            return f"fitted to the shot: {where}, the error fell from {change}"
        return f"not fitted to the shot: {where}, the error would have gone from {change}"


def samples_path(weights: Path) -> Path:
    """Return the path of the samples that belong to a fit's weights."""
    return weights.with_suffix(".npz")


def fit_path(output: Path, recipe: str) -> Path:
    """Return the path of the weights that a recipe gives."""
    return output / FOLDER / f"{recipe}.safetensors"


def kept_fit(output: Path, recipe: str) -> KeptFit | None:
    """Find the fit of a recipe; None if there is none, or a damaged one."""
    path = fit_path(output, recipe)
    try:
        sidecar = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
        fit = KeptFit(path=path, record=dict(sidecar["training"]), sha256=str(sidecar["sha256"]))
        whole = not fit.used or (file_sha256(path) == fit.sha256 and fit.samples() is not None)
        return fit if whole and fit.text and fit.name else None  # both read every field
    except (OSError, ValueError, KeyError, TypeError, RecursionError, BadZipFile, zlib.error):
        return None


def check_writable(output: Path) -> None:
    """Raise OutputError if no fit can be written, before minutes are spent on one."""
    folder = output / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * _PROBE_BYTES)
    except OSError as error:
        raise OutputError(
            f"the fit to the shot could not be written: {error.strerror or error}",
            path=folder,
            hint="is the disk full, or the folder read-only? --fit off does without",
        ) from error


def keep_impossible(output: Path, recipe: str, why: str) -> None:
    """Write that no fit could be made, so that it is not tried again. Raises OutputError."""
    errors = {"error_before": 0.0, "error_after": 0.0}
    nothing = {"sure": 0.0, "margin": 0, "doubts": False, "steps": 0}
    keep_unused(output, recipe, {"used": False, "withheld": None, "why": why, **errors, **nothing})


def discard(output: Path, recipe: str) -> None:
    """Forget a fit that cannot be used; raises OutputError."""
    sidecar = sidecar_path(fit_path(output, recipe))
    try:
        sidecar.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"a damaged fit to the shot cannot be removed: {error.strerror}", path=sidecar
        ) from error


def keep_unused(output: Path, recipe: str, record: dict[str, Any]) -> None:
    """Write that a fit did not help. Raises OutputError."""
    text = json.dumps({"format": 1, "sha256": "", "training": record}, indent=2)
    write_whole(sidecar_path(fit_path(output, recipe)), text + "\n")


def remove_others(output: Path, recipe: str) -> None:
    """Remove the fits of earlier recipes, as far as that is possible."""
    for path in (output / FOLDER).glob("*"):
        is_whole = not path.name.startswith(".")  # what others are writing begins with a dot
        if is_whole and path.stem != recipe and path.suffix in (".safetensors", ".json", ".npz"):
            with contextlib.suppress(OSError):
                path.unlink()
