"""What a still file holds: its header, and its pixels as floats.

Knows no file format; `exr` and `images` fill these in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vfxmatte.types import FloatImage, Window

ValueType = Literal["uint8", "uint16", "uint32", "half", "float"]


def usable_aspect(value: Any) -> float:
    """A pixel aspect ratio as a header gives it; 1 where that cannot be meant."""
    try:
        aspect = float(value)
    except (TypeError, ValueError):
        return 1.0
    return aspect if 0.01 <= aspect <= 100 else 1.0


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What is known of a picture before its pixels are read.

    channels: the channels that make up the picture, colour first and alpha last, as the file
        names them: ("R", "G", "B"), ("fg.R", "fg.G", "fg.B", "fg.A"), ("Y",), ("A",).
    other_channels: what else the file holds.
    has_alpha: the last of `channels` is an alpha beside colour.
    value_type: how the file stores a value; integers become 0 to 1 when read.
    bits: bits of a value (10 for a 10-bit DPX).
    part: the part of a multi-part EXR, else 0.
    at_once: an EXR that holds little but the picture: its channels are best decoded together.
    metadata: other attributes by name; in an EXR of the types that OpenEXR gives them.
    notes: what of the file is ignored, a sentence each.
    """

    path: Path
    file_type: str
    channels: tuple[str, ...]
    other_channels: tuple[str, ...] = ()
    has_alpha: bool = False
    data_window: Window
    display_window: Window
    pixel_aspect: float = 1.0
    value_type: ValueType
    bits: int
    compression: str = ""
    part: int = 0
    at_once: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def colour_channels(self) -> tuple[str, ...]:
        return self.channels[:-1] if self.has_alpha else self.channels

    @property
    def is_float(self) -> bool:
        return self.value_type in ("half", "float")

    @property
    def description(self) -> str:
        """For the screen: `EXR half ZIP, channels R G B`."""
        number = self.value_type if self.is_float else f"{self.bits}-bit"
        packing = f" {self.compression.upper()}" if self.compression else ""
        return f"{self.file_type} {number}{packing}, channels {' '.join(self.channels)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """A still: `pixels` (H, W, C) float32 over `header.data_window`, C as in `header.channels`."""

    header: ImageHeader
    pixels: FloatImage

    @property
    def colour(self) -> FloatImage:
        """(H, W, 3): the colour channels, grey repeated."""
        count = len(self.header.colour_channels)
        if count >= 3:
            return self.pixels[:, :, :3]
        return self.pixels[:, :, :1].repeat(3, axis=2)

    @property
    def alpha(self) -> FloatImage | None:
        """(H, W), or None where the file has none beside its colour."""
        return self.pixels[:, :, -1] if self.header.has_alpha else None

    def __repr__(self) -> str:
        return f"Image({self.header.path.name}, {self.pixels.shape}, {self.header.description})"
