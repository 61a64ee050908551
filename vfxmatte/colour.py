"""Colour conversion: OpenColorIO by colour-space name, and the network's input curve.

The curve works on numpy arrays and torch tensors alike, because training composites in linear
light on the device and must encode exactly as inference does. Importing this module imports
neither torch nor OpenColorIO.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeVar

import numpy as np

from vfxmatte.display_view import DisplayView
from vfxmatte.errors import ColourError
from vfxmatte.types import FloatImage, Frame

ArrayT = TypeVar("ArrayT")  # numpy.ndarray or torch.Tensor, float

NETWORK_ENCODING = "srgb-shoulder-1"
"""Name of the network's input curve, stored with weights so that both always agree."""

DEFAULT_CONFIG = "ocio://studio-config-latest"
"""The ACES studio configuration built into OpenColorIO, with the cameras' log spaces."""

_LINEAR_REC709 = (
    "lin_rec709_scene", "lin_rec709", "Linear Rec.709 (sRGB)", "lin_srgb",
    "Utility - Linear - sRGB", "Utility - Linear - Rec.709",
    "linear",  # nuke-default and similar
)  # fmt: skip
_SRGB = ("srgb_rec709_scene", "srgb_tx", "sRGB - Texture", "Utility - sRGB - Texture", "sRGB")
_VIDEO = (
    "g24_rec709_scene", "g24_rec709", "rec709_display", "Utility - Rec.709 - Display", "Rec.709",
    "rec709",
)  # fmt: skip
_PRIMARIES = {
    "ACES AP1": (
        (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
        ("ACEScg", "lin_ap1"),
    ),
    "ACES AP0": (
        (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
        ("ACES2065-1", "lin_ap0"),
    ),
    "Rec.709": ((0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329), _LINEAR_REC709),
    "P3-D65": ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329), ("lin_p3d65",)),
    "Rec.2020": ((0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329), ("lin_rec2020",)),
}
_MOVIE_TRANSFERS = {
    "smpte2084": ("the movie is tagged PQ (HDR)", ("Rec.2100-PQ - Display", "pq_rec2020_display")),
    "arib-std-b67": ("the movie is tagged HLG", ("Rec.2100-HLG - Display", "hlg_rec2020_display")),
    "iec61966-2-1": ("the movie is tagged sRGB", _SRGB),
    "linear": ("the movie is tagged linear", _LINEAR_REC709),
}
_BLOCK = 1 << 16  # values converted at once; fits the CPU cache

_SHOULDER = 0.2  # the most that scene-linear values above 1 add to the encoded value
_FLOOR = -0.1  # lower limit of encoded values, however negative the plate


def _namespace(array: Any) -> Any:
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def encode_for_network(linear: ArrayT) -> ArrayT:
    """Encode scene-linear Rec.709 for the network's display-like input; any shape, float.

    sRGB's curve from 0 to 1; above 1 highlights are compressed to 1 + 0.2·(1 − 1/x), distinct yet
    below 1.2; below 0 the linear segment continues down to −0.1. NaN becomes 0. Monotone and
    continuous. Never used for alpha.
    """
    xp = _namespace(linear)
    x: Any = xp.nan_to_num(linear, nan=0.0, posinf=65504.0, neginf=0.0)
    inside = xp.clip(x, 0.0031308, 1.0)
    curve = 1.055 * inside ** (1 / 2.4) - 0.055
    low = xp.clip(12.92 * x, _FLOOR, None)
    high = _SHOULDER * (1.0 - 1.0 / xp.clip(x, 1.0, None))
    encoded: ArrayT = xp.where(x < 0.0031308, low, curve + high)
    return encoded


def decode_from_network(encoded: ArrayT) -> ArrayT:
    """Invert `encode_for_network`: scene-linear Rec.709, any shape, float.

    Exact up to rounding from scene-linear -0.1/12.92 on, where values are clipped. Close to 1.2 the
    shoulder is flat: values above about 1000 are imprecise, and limited to 65504.
    """
    xp = _namespace(encoded)
    e: Any = encoded
    shoulder = (xp.clip(e, 1.0, None) - 1.0) / _SHOULDER
    high = 1.0 / (1.0 - xp.clip(shoulder, None, 1.0 - 1.0 / 65504.0))
    linear: ArrayT = xp.where(e > 1.0, high, decode_srgb(xp.clip(e, _FLOOR, 1.0)))
    return linear


def decode_srgb(encoded: ArrayT) -> ArrayT:
    """Decode sRGB to linear light, any shape, float; negative values stay on the linear segment."""
    xp = _namespace(encoded)
    e: Any = encoded
    curve = ((xp.clip(e, 0.04045, None) + 0.055) / 1.055) ** 2.4
    linear: ArrayT = xp.where(e <= 0.04045, e / 12.92, curve)
    return linear


@cache
def _encoding_table() -> FloatImage:
    """Tabulate `encode_for_network` for the middle of each float32 interval of 2^11 values."""
    middle = (np.arange(1 << 21, dtype=np.uint32) << 11) | (1 << 10)
    with np.errstate(over="ignore", invalid="ignore"):
        table = encode_for_network(middle.view(np.float32)).astype(np.float32)
    infinity = np.array([np.inf], np.float32)  # its own bits, not those of the middle
    table[infinity.view(np.uint32) >> 11] = encode_for_network(infinity)
    return table


def encode_by_table(linear: FloatImage, out: FloatImage) -> None:
    """Encode as `encode_for_network` into `out`, both contiguous float32 of one shape.

    Looks up the leading 21 bits: within 5e-5 of the formula, and many times faster in numpy.
    """
    bits = linear.reshape(-1).view(np.uint32) >> 11
    np.take(_encoding_table(), bits, out=out.reshape(-1), mode="clip")


@dataclass(frozen=True, kw_only=True)
class ColourTags:
    """The colour tags of a file."""

    kind: Literal["float", "display", "log", "movie"]
    """Float files are scene-linear, display files are made to be looked at, log is DPX."""
    path: Path | None = None
    chromaticities: Sequence[float] | None = None
    """Red, green, blue and white x, y, as in EXR."""
    interop_id: str | None = None
    """EXR's colorInteropID."""
    transfer: str | None = None
    """A movie's or a DPX's transfer characteristic, by FFmpeg's or DPX's name."""


@dataclass(frozen=True, kw_only=True)
class ColourChoice:
    """A colour space of the configuration, and the reason of the choice for the user."""

    name: str
    reason: str


class ColourConfig:
    """An OpenColorIO configuration with the conversions needed for matting; thread safe."""

    def __init__(self, config: Any, source: str) -> None:
        self.source = source
        self._config = config
        self._processors: dict[tuple[str, str | None], Any] = {}
        self._lock = Lock()

    @classmethod
    def load(cls, path: str | Path | None = None) -> ColourConfig:
        """Load a file or an `ocio://` name, else $OCIO, else the built-in ACES configuration.

        Built-in configurations are read once. Raises ColourError if it cannot be read.
        """
        source = str(path or os.environ.get("OCIO") or DEFAULT_CONFIG)
        source = re.sub(r"^ocio:[/\\]+", "ocio://", source)  # a Path has lost a slash
        return _built_in(source) if source.startswith("ocio://") else cls._read(source)

    @classmethod
    def _read(cls, source: str) -> ColourConfig:
        import PyOpenColorIO as ocio

        try:
            return cls(ocio.Config.CreateFromFile(source), source)
        except (ocio.Exception, ocio.ExceptionMissingFile) as error:
            raise ColourError(
                f"cannot read the OpenColorIO configuration: {_first_line(error)}",
                path=source,
                hint="correct $OCIO, or unset it to use the built-in ACES configuration",
            ) from error

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the configuration's content."""
        return str(self._config.getCacheID())

    def find(self, *names: str) -> str | None:
        """Return the configuration's name for the first known of these names, aliases or roles."""
        for name in names:
            space = self._config.getColorSpace(name)
            if space is not None:
                return str(space.getName())
        return None

    def resolve(self, name: str) -> str:
        """Return the configuration's name; raises ColourError that suggests similar names."""
        space = self.find(name.strip())
        if space is None:
            raise ColourError(
                f"unknown colour space {name!r} in {self.source}", hint=self._near(name)
            )
        return space

    def names(self) -> list[str]:
        """List the names of all colour spaces."""
        return list(self._config.getColorSpaceNames())

    def default_space(self, tags: ColourTags) -> ColourChoice:
        """Choose a colour space by a file's tags; raises ColourError if none fits."""
        for reason, names in self._proposals(tags):
            name = self.find(*names)
            if name is not None:
                return ColourChoice(name=name, reason=reason)
        raise ColourError(
            f"{self.source} has no colour space that fits this plate by default",
            path=tags.path,
            hint="name one with --colorspace",
        )

    def convert(self, pixels: FloatImage, source: str, target: str) -> FloatImage:
        """Convert (..., 3) float32 between colour spaces, into a new array."""
        return self._applied(pixels, source, self.resolve(target))

    def is_linear(self, source: str) -> bool:
        """Return True if twice the value in a colour space is twice the light."""
        values = np.array([[[0.1, 0.2, 0.4], [0.2, 0.4, 0.8], [0, 0, 0]]], np.float32)
        one, two, none = self.to_linear_rec709(values, source)[0]
        return bool(np.allclose(2 * one, two, rtol=1e-3) and np.allclose(none, 0, atol=1e-6))

    def to_linear_rec709(self, pixels: FloatImage, source: str) -> FloatImage:
        """Convert (..., 3) float32 to scene-linear Rec.709, into a new array."""
        return self._applied(pixels, source, None)

    def _applied(self, pixels: FloatImage, source: str, target: str | None) -> FloatImage:
        out = np.array(pixels, dtype=np.float32, order="C")
        self._processor(self.resolve(source), target).applyRGB(out)
        return out

    def encode(self, pixels: FloatImage, source: str) -> FloatImage:
        """Encode (H, W, 3) float32 in `source` for the network, float32 from -0.1 to 1.2.

        NaN and minus infinity become black, infinity the largest half float.
        """
        processor = self._processor(self.resolve(source), None)
        flat, out = pixels.reshape(-1, 3), np.empty(pixels.shape, np.float32)
        rows, target = _BLOCK // 3, out.reshape(-1, 3)
        for start in range(0, len(flat), rows):
            block = np.array(flat[start : start + rows], order="C")
            with np.errstate(all="ignore"):
                clean = np.isfinite(block.sum())
            if not clean:
                np.nan_to_num(block, copy=False, nan=0.0, posinf=65504.0, neginf=0.0)
            processor.applyRGB(block)
            encode_by_table(block, target[start : start + rows])
        return out

    def scene_linear(self) -> str:
        """Return the configuration's scene-linear working space, or else a linear Rec.709 one."""
        return self.find("scene_linear", "ACEScg", *_LINEAR_REC709) or self.names()[0]

    def views(self, source: str) -> list[str]:
        """List the views of the default display for pictures of a colour space, the default first.

        Empty for a configuration without displays.
        """
        display = self._config.getDefaultDisplay()
        names = [str(name) for name in self._config.getViews(display, self.resolve(source))]
        default = self._config.getDefaultView(display, self.resolve(source))
        return sorted(names, key=lambda name: name != default)

    def display_view(self, view: str) -> DisplayView:
        """Return a view of the default display, for scene-linear pictures.

        Raises ColourError where there is none of this name.
        """
        import PyOpenColorIO as ocio

        display = self._config.getDefaultDisplay()
        if view and view not in self._config.getViews(display):
            raise ColourError(f"the display {display} has no view {view!r}", path=self.source)
        linear = self.scene_linear()
        try:
            if view:
                transform = ocio.DisplayViewTransform(src=linear, display=display, view=view)
                return DisplayView(self._config, transform)
            target = self.find(*_SRGB) or linear
            return DisplayView(self._config, ocio.ColorSpaceTransform(src=linear, dst=target))
        except ocio.Exception as error:
            raise ColourError(
                f"no way from {linear!r} to the view {view!r}: {_first_line(error)}",
                path=self.source,
            ) from error

    def _proposals(self, tags: ColourTags) -> Iterator[tuple[str, Sequence[str]]]:
        if tags.interop_id:
            yield "the file names it (colorInteropID)", (tags.interop_id,)
        for label, names in _matching_primaries(tags.chromaticities):
            yield f"the file's chromaticities are {label}", names
        rule = self._file_rule(tags.path)
        if rule:
            yield "a file rule of the OpenColorIO configuration", (rule,)
        yield from _defaults(tags)

    def _file_rule(self, path: Path | None) -> str | None:
        """Return the space by the studio's file rules; the catch-all rule does not count."""
        if path is None or self.source.startswith("ocio://"):
            return None
        name, index = self._config.getColorSpaceFromFilepath(str(path))
        rules = self._config.getFileRules()
        return None if rules.getName(index) in ("Default", "ColorSpaceNamePathSearch") else name

    def _processor(self, source: str, target: str | None) -> Any:
        with self._lock:
            key = (source, target)
            if key not in self._processors:
                self._processors[key] = self._make_processor(source, target)
            return self._processors[key]

    def _make_processor(self, source: str, target: str | None) -> Any:
        import PyOpenColorIO as ocio

        destination = target or self.find(*_LINEAR_REC709)
        try:
            if destination is not None:
                processor = self._config.getProcessor(source, destination)
            else:
                builtin = ocio.Config.CreateFromFile(DEFAULT_CONFIG)
                processor = ocio.Config.GetProcessorFromConfigs(
                    self._config, source, builtin, "lin_rec709"
                )
        except ocio.Exception as error:
            raise ColourError(
                f"no way from {source!r} to {target or 'linear Rec.709'}: {_first_line(error)}",
                path=self.source,
                hint="the configuration needs a linear Rec.709 space or the role aces_interchange",
            ) from error
        return processor.getDefaultCPUProcessor()

    def _near(self, name: str) -> str:
        known = {_letters(role): role for role in self._config.getRoleNames()}
        for space in self._config.getColorSpaces():
            known |= {_letters(alias): space.getName() for alias in space.getAliases()}
            known[_letters(space.getName())] = space.getName()
        letters = _letters(name)
        near = difflib.get_close_matches(letters, known, n=3, cutoff=0.6)
        near += [key for key in known if letters and letters in key]
        names = list(dict.fromkeys(known[key] for key in near))[:5]
        return f"did you mean {', '.join(names)}?" if names else "vfxmatte info lists the names"


@cache
def _built_in(source: str) -> ColourConfig:
    return ColourConfig._read(source)


def to_network(frame: Frame, config: ColourConfig) -> FloatImage:
    """Encode a frame for the network: (H, W, 3) float32, linear Rec.709 then encoded."""
    return config.encode(frame.pixels, frame.colour_space)


def _matching_primaries(
    chromaticities: Sequence[float] | None,
) -> Iterator[tuple[str, Sequence[str]]]:
    if chromaticities is None or len(chromaticities) != 8:
        return
    for label, (values, names) in _PRIMARIES.items():
        if np.allclose(chromaticities, values, atol=2e-3):
            yield label, names


def _defaults(tags: ColourTags) -> Iterator[tuple[str, Sequence[str]]]:
    transfer = (tags.transfer or "").lower()
    if tags.kind == "float":
        yield "the default for floating-point files", ("scene_linear", "ACEScg")
    elif tags.kind == "display":
        yield "the default for 8 and 16-bit images", _SRGB
    elif tags.kind == "movie":
        if transfer in _MOVIE_TRANSFERS:
            yield _MOVIE_TRANSFERS[transfer]
        tagged = f"tagged {transfer}" if transfer else "without a tag"
        yield f"the default for a movie {tagged}: Rec.709 as displayed", _VIDEO
        yield "the default for movies", _SRGB
    elif transfer == "linear":
        yield "the DPX says linear", ("scene_linear",)
    elif "709" in transfer or "video" in transfer:
        yield "the DPX says video", _VIDEO
    else:
        yield "the default for DPX: the configuration's log", ("compositing_log", "ACEScct")


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
