"""OpenEXR files: headers, parts, layers and windows; reading and writing pixels.

Headers are read and files are written through the OpenEXR module, which keeps the attributes'
own types (rational, timecode, matrices). It is also the quickest to read pixels, but it decodes
every channel of every part: a file that holds more than its picture is read through OpenImageIO,
which decodes what is asked for, and which says what is wrong with a damaged one. Both let other
threads run while they work. Knows nothing of shots, colour or mattes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import OpenEXR
import OpenImageIO as oiio

from vfxmatte.errors import OutputError, PlateError
from vfxmatte.io.halves import interleaved, widened
from vfxmatte.io.quiet import quiet_thread
from vfxmatte.io.still import ImageHeader, ValueType
from vfxmatte.types import FloatImage, Window

Compression = Literal["none", "rle", "zips", "zip", "piz", "pxr24", "b44", "b44a", "dwaa", "dwab"]

_MAGIC = b"\x76\x2f\x31\x01"
_ALPHA = ("A", "ALPHA")
_COLOURS = (("R", "G", "B"), ("RED", "GREEN", "BLUE"))
_VALUE_TYPES: dict[str, ValueType] = {"half": "half", "float": "float", "uint": "uint32"}

# Attributes that describe how the pixels of this one file are laid out. A file written from
# another's attributes has its own.
STRUCTURAL = frozenset({
    "channels", "chunkCount", "compression", "dataWindow", "deepImageState", "displayWindow",
    "dwaCompressionLevel", "idManifest", "lineOrder", "maxSamplesPerPixel", "multiView", "name",
    "openexr:chunkCount", "preview", "tiles", "type", "version", "zipCompressionLevel",
})  # fmt: skip


@dataclass(frozen=True)
class _Choice:
    """The channels chosen from one part."""

    part: int
    colour: tuple[str, ...]
    alpha: tuple[str, ...]


def read_exr_header(
    path: Path, *, layer: str | None = None, part: int | str | None = None
) -> ImageHeader:
    """The header of one part, with the picture's channels chosen.

    Without a layer: R G B (and A), else Y, else the only layer or channel there is; in the first
    part that has them. A layer is the part's name, or what stands before the last dot of a
    channel's name. Raises PlateError: not an EXR, deep, no such part or layer.
    """
    parts = _open_parts(path)
    choice = _choose(path, parts, layer, _part_index(path, parts, part))
    header = parts[choice.part].header
    kinds = _channel_types(path, choice.part)
    _check_channels(path, header, choice)
    chosen = choice.colour + choice.alpha
    value_type = _VALUE_TYPES.get(kinds.get(choice.colour[0], "float"), "float")
    return ImageHeader(
        path=path,
        file_type="EXR",
        channels=chosen,
        other_channels=tuple(c.name for c in header["channels"] if c.name not in chosen),
        has_alpha=bool(choice.alpha),
        data_window=_window(header["dataWindow"]),
        display_window=_window(header["displayWindow"]),
        pixel_aspect=float(header.get("pixelAspectRatio", 1.0)),
        value_type=value_type,
        bits=16 if value_type == "half" else 32,
        compression=header["compression"].name.removesuffix("_COMPRESSION"),
        part=choice.part,
        at_once=len(parts) == 1 and _is_mostly(header, chosen, kinds),
        metadata={k: v for k, v in header.items() if k not in STRUCTURAL},
    )


def read_exr_pixels(header: ImageHeader) -> FloatImage:
    """(H, W, C) float32 over the data window, channels in the header's order.

    Raises PlateError where any part of the picture is missing or damaged.
    """
    pixels = _read_at_once(header) if header.at_once else None
    return _read_chosen(header) if pixels is None else pixels


def write_exr(
    path: Path,
    channels: Mapping[str, np.ndarray],
    *,
    data_window: Window,
    display_window: Window,
    attributes: Mapping[str, Any] | None = None,
    compression: Compression = "zip",
) -> None:
    """One part, scan lines; channels are (H, W) float16 or float32 over the data window.

    Attributes of the types that `read_exr_header` returns keep their types; those that say how
    another file is laid out are left out. Raises OutputError with the reason.
    """
    for name, pixels in channels.items():
        if pixels.shape != data_window.shape:
            raise ValueError(f"channel {name} is {pixels.shape}, its window {data_window.shape}")
    header = {k: _attribute(v) for k, v in (attributes or {}).items() if k not in STRUCTURAL}
    header |= {
        "type": OpenEXR.scanlineimage,
        "compression": _compression(compression),
        "dataWindow": _corners(data_window),
        "displayWindow": _corners(display_window),
    }
    planes = {name: np.ascontiguousarray(pixels) for name, pixels in channels.items()}
    try:
        OpenEXR.File(header, planes).write(str(path))
    except (RuntimeError, OSError, ValueError) as error:
        raise OutputError(f"cannot write the EXR: {error}", path=path) from error


def _read_at_once(header: ImageHeader) -> FloatImage | None:
    """All channels decoded together; None where the file is not whole, or not as its header was."""
    try:
        with quiet_thread():  # a part that cannot be read is printed, and missing
            parts = OpenEXR.File(str(header.path), separate_channels=True).parts
    except (RuntimeError, ValueError, OSError):
        return None
    channels = parts[0].channels if len(parts) == 1 else {}
    planes = [channels[name].pixels for name in header.channels if name in channels]
    shapes = [plane.shape for plane in planes]
    if shapes != [header.data_window.shape] * len(header.channels):
        return None
    types = {plane.dtype for plane in planes}
    if types == {np.dtype(np.float16)}:
        return widened(interleaved(planes))
    return interleaved([widened(p) if p.dtype == np.float16 else p for p in planes])


def _read_chosen(header: ImageHeader) -> FloatImage:
    """The header's channels alone, and in words what is wrong with the file."""
    opened = oiio.ImageInput.open(str(header.path))
    if opened is None:
        raise PlateError(f"cannot open the EXR: {_one_line(oiio.geterror())}", path=header.path)
    try:
        spec = opened.spec(header.part, 0)
        _check_unchanged(header, spec)
        kinds = _kinds(spec)
        where = [list(kinds).index(name) for name in header.channels]
        first, last = min(where), max(where) + 1
        all_half = set(list(kinds.values())[first:last]) == {"half"}
        pixels = opened.read_image(header.part, 0, first, last, "half" if all_half else "float")
        problem = opened.geterror()
    finally:
        opened.close()
    if pixels is None or problem:
        raise PlateError(
            f"the EXR is damaged or incomplete: {_one_line(problem)}",
            path=header.path,
            hint="render or copy this frame again",
        )
    pixels = pixels.reshape((*header.data_window.shape, last - first))
    order = [index - first for index in where]
    if order != list(range(last - first)):
        pixels = pixels[:, :, order]
    return widened(pixels) if all_half else np.ascontiguousarray(pixels, dtype=np.float32)


def _check_unchanged(header: ImageHeader, spec: Any) -> None:
    same_size = (spec.height, spec.width) == header.data_window.shape
    if not same_size or not set(header.channels) <= set(spec.channelnames):
        raise PlateError(
            "the EXR changed while it was read",
            path=header.path,
            hint="is it being rendered or copied? run again when that is done",
        )


def _is_mostly(header: Mapping[str, Any], chosen: Sequence[str], kinds: Mapping[str, str]) -> bool:
    """Whether a file of one part holds floats in scan lines, and the chosen are half of them."""
    channels = header["channels"]
    return (
        header.get("type") == OpenEXR.scanlineimage
        and 2 * len(chosen) >= len(channels)
        and all((c.xSampling, c.ySampling) == (1, 1) for c in channels)
        and all(kinds.get(name) in ("half", "float") for name in chosen)
    )


def _open_parts(path: Path) -> list[Any]:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise PlateError(f"cannot read the file: {error.strerror}", path=path) from error
    if start != _MAGIC:
        found = "an empty file" if not start else "another kind of file"
        raise PlateError(f"expected an EXR, found {found}", path=path)
    try:
        return list(OpenEXR.File(str(path), separate_channels=True, header_only=True).parts)
    except (RuntimeError, ValueError, OSError) as error:
        raise PlateError(f"the EXR's header is damaged: {error}", path=path) from error


def _part_index(path: Path, parts: Sequence[Any], part: int | str | None) -> int | None:
    if part is None:
        return None
    names = [p.name() for p in parts]
    index = names.index(part) if part in names else part
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    if isinstance(index, int) and 0 <= index < len(parts):
        return index
    listed = ", ".join(f"{i} {name}".strip() for i, name in enumerate(names))
    raise PlateError(f"there is no part {part!r}", path=path, hint=f"parts: {listed}")


def _choose(path: Path, parts: Sequence[Any], layer: str | None, only: int | None) -> _Choice:
    choices = []
    for index, part in enumerate(parts):
        if only is not None and index != only:
            continue
        names = [channel.name for channel in part.header["channels"]]
        whole_part = layer is not None and part.name() == layer
        found = choose_channels(names, None if whole_part else layer)
        if found is None and whole_part:
            found = choose_channels(names, layer)
        if found is not None:
            choices.append(_Choice(index, *found))
    if choices:
        return max(choices, key=lambda choice: (len(choice.colour), -choice.part))
    what = "there is no picture" if layer is None else f"there is no layer {layer!r}"
    raise PlateError(f"{what} in this EXR", path=path, hint=_layers_hint(parts))


def choose_channels(
    names: Sequence[str], layer: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """(colour channels, alpha channel if any) of a layer, or of the file without one; or None."""
    in_layer = _bare_names(names, "" if layer is None else layer)
    for colours in _COLOURS:
        if all(colour in in_layer for colour in colours):
            alpha = [in_layer[name] for name in _ALPHA if name in in_layer]
            return tuple(in_layer[colour] for colour in colours), tuple(alpha[:1])
    if "Y" in in_layer:
        return (in_layer["Y"],), tuple(in_layer[name] for name in _ALPHA if name in in_layer)[:1]
    if len(in_layer) == 1 and (layer is not None or len(names) == 1):
        return tuple(in_layer.values()), ()
    if layer is not None:
        return None
    pictures = [choose_channels(names, name) for name in layer_names(names)]
    found = [picture for picture in pictures if picture is not None and len(picture[0]) == 3]
    return found[0] if len(found) == 1 else None


def layer_names(names: Sequence[str]) -> list[str]:
    """The layers of channel names: `fg` for `fg.R`, in order of appearance."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name in names if "." in name))


def _bare_names(names: Sequence[str], layer: str) -> dict[str, str]:
    split = [(name.rpartition("."), name) for name in names]
    return {parts[2].upper(): name for parts, name in split if parts[0] == layer}


def _layers_hint(parts: Sequence[Any]) -> str:
    lines = []
    for index, part in enumerate(parts):
        names = [channel.name for channel in part.header["channels"]]
        lines.append(f"part {index} {part.name()}: {' '.join(names[:12])}")
    return "choose with --layer or --part from\n  " + "\n  ".join(lines)


def _check_channels(path: Path, header: Mapping[str, Any], choice: _Choice) -> None:
    if header.get("type") in (OpenEXR.deepscanline, OpenEXR.deeptile):
        raise PlateError("this EXR is deep", path=path, hint="flatten it (DeepToImage) first")
    by_name = {channel.name: channel for channel in header["channels"]}
    if (
        any(name.rpartition(".")[2].upper() in ("RY", "BY") for name in by_name)
        and len(choice.colour) == 1
    ):
        raise PlateError("this EXR holds luminance and chroma", path=path, hint="write it as RGB")
    for name in choice.colour + choice.alpha:
        if (by_name[name].xSampling, by_name[name].ySampling) != (1, 1):
            raise PlateError(f"channel {name} is subsampled", path=path, hint="write it as RGB")


def _channel_types(path: Path, part: int) -> dict[str, str]:
    opened = oiio.ImageInput.open(str(path))
    if opened is None:
        raise PlateError(f"cannot open the EXR: {_one_line(oiio.geterror())}", path=path)
    spec = opened.spec(part, 0)
    opened.close()
    return _kinds(spec)


def _kinds(spec: Any) -> dict[str, str]:
    """`half`, `float` or `uint` of each channel, in OpenImageIO's order."""
    formats = spec.channelformats or [spec.format] * spec.nchannels
    return {name: str(kind) for name, kind in zip(spec.channelnames, formats, strict=True)}


def _window(corners: Sequence[Any]) -> Window:
    (x_min, y_min), (x_max, y_max) = (tuple(int(v) for v in corner) for corner in corners)
    return Window(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)


def _corners(window: Window) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([window.x_min, window.y_min], np.int32),
        np.array([window.x_max, window.y_max], np.int32),
    )


def _compression(name: Compression) -> Any:
    return getattr(OpenEXR, f"{'NO' if name == 'none' else name.upper()}_COMPRESSION")


def _attribute(value: Any) -> Any:
    """The value as the OpenEXR module takes it: its Rational is read as a Fraction, not written."""
    if isinstance(value, OpenEXR.Rational):
        return Fraction(value.n, value.d)
    if isinstance(value, np.generic):
        return value.item()
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "no reason given"
