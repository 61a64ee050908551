"""The names of result files: mattes and trimaps by frame number."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vfxmatte.errors import OutputError
from vfxmatte.io.sequence import padded

Format = Literal["exr", "png", "tiff"]

_DIGITS = 4  # the least of a frame number
_SUFFIXES: dict[Format, str] = {"exr": ".exr", "png": ".png", "tiff": ".tif"}
_FORMATS: dict[str, Format] = {suffix: name for name, suffix in _SUFFIXES.items()}
_FORMATS[".tiff"] = "tiff"


def matte_path(
    folder: str | Path, number: int, format: Format = "exr", *, padding: int = _DIGITS
) -> Path:
    """Return `folder/matte.1001.exr`."""
    return Path(folder) / f"matte.{_digits(number, padding)}{_SUFFIXES[format]}"


def matte_pattern(folder: str | Path, format: Format = "exr", *, padding: int = _DIGITS) -> str:
    """Return `folder/matte.####.exr`."""
    return str(Path(folder) / f"matte.{'#' * max(_DIGITS, padding)}{_SUFFIXES[format]}")


def trimap_path(folder: str | Path, number: int, *, padding: int = _DIGITS) -> Path:
    """Return `folder/trimap.1001.png`."""
    return Path(folder) / f"trimap.{_digits(number, padding)}.png"


def format_of(path: Path) -> Format:
    """Return the format that a matte's file name stands for; raises OutputError for others."""
    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        raise OutputError(
            f"a matte cannot be written as {path.suffix or path.name}",
            path=path,
            hint="call it NAME.exr, NAME.png or NAME.tif",
        )
    return format


def _digits(number: int, padding: int) -> str:
    return padded(number, max(_DIGITS, padding))
