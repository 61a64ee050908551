"""The header and the pixels of a still, for any file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vfxmatte.errors import PlateError
from vfxmatte.types import FloatImage, Window

ValueType = Literal["uint8", "uint16", "uint32", "half", "float"]


def usable_aspect(value: Any) -> float:
    """Convert a header's pixel aspect ratio; 1 if it is invalid or implausible."""
    try:
        aspect = float(value)
    except (TypeError, ValueError):
        return 1.0
    return aspect if 0.01 <= aspect <= 100 else 1.0


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """The properties of a picture before its pixels are read."""

    path: Path
    file_type: str
    channels: tuple[str, ...]
    """The picture's channels, colour first and alpha last, as the file names them: ("R", "G", "B"),
    ("fg.R", "fg.G", "fg.B", "fg.A"), ("Y",), ("A",).
    """
    other_channels: tuple[str, ...] = ()
    """The other channels of the file."""
    has_alpha: bool = False
    """The last of `channels` is alpha, beside colour."""
    data_window: Window
    display_window: Window
    pixel_aspect: float = 1.0
    value_type: ValueType
    """How the file stores a value; integers are read as 0 to 1."""
    bits: int
    """Bits per value (10 for a 10-bit DPX)."""
    compression: str = ""
    part: int = 0
    """Index of the part of a multi-part EXR, else 0."""
    at_once: bool = False
    """Mostly the picture is in this EXR: decoding all channels together is fastest."""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Other attributes by name; those of an EXR with OpenEXR's types."""
    notes: tuple[str, ...] = ()
    """What is ignored, a sentence each."""

    @property
    def colour_channels(self) -> tuple[str, ...]:
        return self.channels[:-1] if self.has_alpha else self.channels

    @property
    def is_float(self) -> bool:
        return self.value_type in ("half", "float")

    @property
    def description(self) -> str:
        """Text for the user: `EXR half ZIP, channels R G B`."""
        number = self.value_type if self.is_float else f"{self.bits}-bit"
        packing = f" {self.compression.upper()}" if self.compression else ""
        return f"{self.file_type} {number}{packing}, channels {' '.join(self.channels)}"


def damaged(header: ImageHeader, problem: str) -> PlateError:
    """Create the error of a file whose pixels cannot be decoded."""
    return PlateError(
        f"the {header.file_type} is damaged or incomplete: {problem or 'no reason given'}",
        path=header.path,
        hint="render or copy this frame again",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """A still: `pixels` (H, W, C) float32 over `header.data_window`, C as in `header.channels`."""

    header: ImageHeader
    pixels: FloatImage

    @property
    def colour(self) -> FloatImage:
        """(H, W, 3) colour channels, grey repeated."""
        count = len(self.header.colour_channels)
        if count >= 3:
            return self.pixels[:, :, :3]
        return self.pixels[:, :, :1].repeat(3, axis=2)

    @property
    def alpha(self) -> FloatImage | None:
        """(H, W), or None if the file has none beside its colour."""
        return self.pixels[:, :, -1] if self.header.has_alpha else None

    def __repr__(self) -> str:
        return f"Image({self.header.path.name}, {self.pixels.shape}, {self.header.description})"
