"""Read and write OpenEXR files: headers, parts, layers, windows and pixels.

Headers are parsed by `exr_header`; files are written through the OpenEXR module, which preserves
the attributes' types (rational, timecode, matrices). It also reads pixels fastest, but decodes
every channel of every part: files that hold more than their picture are read through OpenImageIO,
which decodes single channels and describes damage. Both release the GIL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import OpenEXR
import OpenImageIO as oiio

from vfxmatte.errors import OutputError, PlateError
from vfxmatte.io.quiet import quiet_thread
from vfxmatte.io.stills.exr_header import ExrPart, read_parts
from vfxmatte.io.stills.exr_values import value_of
from vfxmatte.io.stills.halves import interleaved, widened
from vfxmatte.io.stills.image import ImageHeader, ValueType, damaged, usable_aspect
from vfxmatte.io.stills.limits import check_size
from vfxmatte.io.texts import error_of, readable
from vfxmatte.types import FloatImage, Window

Compression = Literal["none", "rle", "zips", "zip", "piz", "pxr24", "b44", "b44a", "dwaa", "dwab"]

_ALPHA = ("A", "ALPHA")
_COLOURS = (("R", "G", "B"), ("RED", "GREEN", "BLUE"))
# Channels that are no picture when alone: depth, coordinates, ids.
_DATA = frozenset({"X", "Z", "U", "V", "DEPTH", "ZBACK", "ID"})

# Attributes that describe the layout of one file; never copied to another.
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
    """Read the header of one part and choose the picture's channels.

    Without a layer: R G B (and A), else Y, else the only layer or channel, in the first part that
    has them. A layer is the name of a part, the prefix before the last dot of a channel's name, or
    a whole channel name. Raises PlateError: not an EXR, deep, no such part or layer, integer
    channels, more pixels than the file can hold.
    """
    parts = read_parts(path)
    choice = _choose(path, parts, layer, _part_index(path, parts, part))
    chosen_part = parts[choice.part]
    choice = _checked(path, chosen_part, choice)
    chosen = choice.colour + choice.alpha
    types = {channel.name: channel.pixel_type for channel in chosen_part.channels}
    value_type: ValueType = "half" if types[choice.colour[0]] == "half" else "float"
    metadata = {k: value_of(v) for k, v in chosen_part.attributes.items() if k not in STRUCTURAL}
    return ImageHeader(
        path=path,
        file_type="EXR",
        channels=chosen,
        other_channels=tuple(n for n in chosen_part.channel_names if n not in chosen),
        has_alpha=bool(choice.alpha),
        data_window=chosen_part.data_window,
        display_window=chosen_part.display_window,
        pixel_aspect=usable_aspect(metadata.get("pixelAspectRatio")),
        value_type=value_type,
        bits=16 if value_type == "half" else 32,
        compression=chosen_part.compression,
        part=choice.part,
        at_once=len(parts) == 1 and _is_mostly(chosen_part, chosen),
        metadata=metadata,
    )


def read_exr_pixels(header: ImageHeader) -> FloatImage:
    """Read (H, W, C) float32 over the data window, channels in the header's order.

    Raises PlateError if any part of the picture is missing or damaged.
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
    """Write one part of scan lines; channels are (H, W) float16 or float32 over the data window.

    Attributes keep the types that `read_exr_header` returns; structural ones are left out. Raises
    OutputError with the reason.
    """
    for name, pixels in channels.items():
        if pixels.shape != data_window.shape:
            raise ValueError(f"channel {name} is {pixels.shape}, its window {data_window.shape}")
    header = {k: v for k, v in (attributes or {}).items() if k not in STRUCTURAL}
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


def read_exr_attributes(path: Path) -> dict[str, Any]:
    """Read the attributes of a file's first part that describe no layout; raises PlateError."""
    attributes = read_parts(path)[0].attributes
    return {k: value_of(v) for k, v in attributes.items() if k not in STRUCTURAL}


def read_exr_planes(path: Path) -> dict[str, np.ndarray]:
    """Read every channel of a file of one part as it is stored, (H, W) by name.

    Raises PlateError.
    """
    try:
        with quiet_thread(), OpenEXR.File(str(path), separate_channels=True) as file:
            return {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    except Exception as error:
        raise PlateError(f"cannot read the EXR: {readable(str(error))}", path=path) from error


def _read_at_once(header: ImageHeader) -> FloatImage | None:
    """Decode all channels together; None if the file is incomplete or changed since its header."""
    try:
        with quiet_thread():  # it prints a message for an unreadable part
            parts = OpenEXR.File(str(header.path), separate_channels=True).parts
    except Exception:  # it raises anything; the other reader reports the problem
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
    """Decode the header's channels alone; raises PlateError that describes the damage."""
    opened = oiio.ImageInput.open(str(header.path))
    if opened is None:
        raise PlateError(f"cannot open the EXR: {error_of(oiio)}", path=header.path)
    try:
        spec = opened.spec(header.part, 0)
        _check_unchanged(header, spec)
        kinds = _kinds(spec)
        indices = [list(kinds).index(name) for name in header.channels]
        first, last = min(indices), max(indices) + 1
        all_half = set(list(kinds.values())[first:last]) == {"half"}
        pixels = opened.read_image(header.part, 0, first, last, "half" if all_half else "float")
        problem = error_of(opened)
    finally:
        opened.close()
    if pixels is None or problem:
        raise damaged(header, problem)
    pixels = pixels.reshape((*header.data_window.shape, last - first))
    order = [index - first for index in indices]
    if order != list(range(last - first)):
        pixels = pixels[:, :, order]
    return widened(pixels) if all_half else np.ascontiguousarray(pixels, dtype=np.float32)


def _check_unchanged(header: ImageHeader, spec: Any) -> None:
    same_size = (spec.height, spec.width) == header.data_window.shape
    if not same_size or not set(header.channels) <= _kinds(spec).keys():
        raise PlateError(
            "the EXR changed while it was read",
            path=header.path,
            hint="is it being rendered or copied? run again when that is done",
        )


def _is_mostly(part: ExrPart, chosen: Sequence[str]) -> bool:
    """Return True for scan lines of which the chosen channels are at least half."""
    return (
        part.scan_lines
        and 2 * len(chosen) >= len(part.channels)
        and all(channel.sampling == (1, 1) for channel in part.channels)
    )


def _part_index(path: Path, parts: Sequence[ExrPart], part: int | str | None) -> int | None:
    if part is None:
        return None
    names = [p.name for p in parts]
    index = names.index(part) if part in names else part
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    if isinstance(index, int) and 0 <= index < len(parts):
        return index
    listed = ", ".join(f"{i} {name}".strip() for i, name in enumerate(names))
    raise PlateError(f"there is no part {part!r}", path=path, hint=f"parts: {listed}")


def _choose(path: Path, parts: Sequence[ExrPart], layer: str | None, only: int | None) -> _Choice:
    choices = []
    for index, part in enumerate(parts):
        if only is not None and index != only:
            continue
        names = part.channel_names
        whole_part = layer is not None and part.name == layer
        channels = choose_channels(names, None if whole_part else layer)
        if channels is None and whole_part:
            channels = choose_channels(names, layer)
        if channels is not None:
            choices.append(_Choice(index, *channels))
    if choices:
        return max(choices, key=lambda c: (not parts[c.part].deep, len(c.colour), -c.part))
    considered = parts if only is None else [parts[only]]
    if considered and all(part.deep for part in considered):
        raise _deep(path)
    what = "there is no picture" if layer is None else f"there is no layer {layer!r}"
    raise PlateError(f"{what} in this EXR", path=path, hint=_layers_hint(parts))


def choose_channels(
    names: Sequence[str], layer: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Choose (colour channels, alpha channel if any) of a layer, or of the file; or None.

    X Y Z (positions, normals), depth and the like are no picture, unless requested by name.
    """
    if layer is not None and layer in names:
        return (layer,), ()
    in_layer = _bare_names(names, "" if layer is None else layer)
    alpha = tuple(in_layer[name] for name in _ALPHA if name in in_layer)[:1]
    for colours in _COLOURS:
        if all(colour in in_layer for colour in colours):
            return tuple(in_layer[colour] for colour in colours), alpha
    if "Y" in in_layer and not {"X", "Z"} & in_layer.keys():
        return (in_layer["Y"],), alpha
    if len(in_layer) == 1 and (layer is not None or len(names) == 1):
        return None if in_layer.keys() & _DATA else (tuple(in_layer.values()), ())
    if layer is not None:
        return None
    pictures = [choose_channels(names, name) for name in layer_names(names)]
    colour = [picture for picture in pictures if picture is not None and len(picture[0]) == 3]
    return colour[0] if len(colour) == 1 else None


def layer_names(names: Sequence[str]) -> list[str]:
    """List the layers of channel names: `fg` for `fg.R`, in order of appearance."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name in names if "." in name))


def _bare_names(names: Sequence[str], layer: str) -> dict[str, str]:
    """Map bare upper-case names to full names in a layer; `R` takes precedence over `r`."""
    split = [(name.rpartition("."), name) for name in sorted(names, reverse=True)]
    return {parts[2].upper(): name for parts, name in split if parts[0] == layer}


def _layers_hint(parts: Sequence[ExrPart]) -> str:
    lines = []
    for index, part in enumerate(parts):
        lines.append(f"part {index} {part.name}: {' '.join(part.channel_names[:12])}")
    return "choose with --layer or --part from\n  " + "\n  ".join(lines)


def _checked(path: Path, part: ExrPart, choice: _Choice) -> _Choice:
    """Drop an unusable alpha; raises PlateError if the choice is no picture."""
    if part.deep:
        raise _deep(path)
    by_name = {channel.name: channel for channel in part.channels}
    chroma = {name.rpartition(".")[2].upper() for name in by_name} & {"RY", "BY"}
    if chroma and len(choice.colour) == 1:
        raise PlateError("this EXR holds luminance and chroma", path=path, hint="write it as RGB")
    for name in choice.colour:
        if by_name[name].sampling != (1, 1):
            raise PlateError(f"channel {name} is subsampled", path=path, hint="write it as RGB")
        if by_name[name].pixel_type == "uint":
            raise PlateError(
                f"channel {name} holds whole numbers (uint): ids or counts, not light",
                path=path,
                hint="choose another --layer, or write it as half or float",
            )
    check_size(path, part.data_window, len(choice.colour) + len(choice.alpha), 2)
    alpha = choice.alpha and by_name[choice.alpha[0]]
    usable = alpha and alpha.sampling == (1, 1) and alpha.pixel_type != "uint"
    return choice if usable else _Choice(choice.part, choice.colour, ())


def _deep(path: Path) -> PlateError:
    return PlateError("this EXR is deep", path=path, hint="flatten it (DeepToImage) first")


def _kinds(spec: Any) -> dict[str, str]:
    """Return `half`, `float` or `uint` of each channel, in OpenImageIO's order."""
    formats = spec.channelformats or [spec.format] * spec.nchannels
    names = map(readable, spec.channelnames)
    return {name: str(kind) for name, kind in zip(names, formats, strict=True)}


def _corners(window: Window) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([window.x_min, window.y_min], np.int32),
        np.array([window.x_max, window.y_max], np.int32),
    )


def _compression(name: Compression) -> Any:
    return getattr(OpenEXR, f"{'NO' if name == 'none' else name.upper()}_COMPRESSION")
