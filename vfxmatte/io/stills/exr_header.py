"""Parse EXR headers from their bytes: parts, channels and raw attributes.

Sizes that a header claims must fit into the file before anything is allocated. Text need not be
UTF-8, and attribute types may be unknown: OpenEXR would refuse the file for such an attribute.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from vfxmatte.errors import PlateError
from vfxmatte.io.texts import readable
from vfxmatte.types import Window

PixelType = Literal["uint", "half", "float"]

_MAGIC = b"\x76\x2f\x31\x01"
_TILED, _DEEP, _MULTIPART = 0x200, 0x800, 0x1000
_PIXEL_TYPES: tuple[PixelType, ...] = ("uint", "half", "float")
_COMPRESSIONS = (
    "NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB", "HTJ2K256",
    "HTJ2K32",
)  # fmt: skip
_LINES = {"NO": 1, "RLE": 1, "ZIPS": 1, "ZIP": 16, "PXR24": 16, "PIZ": 32, "B44": 32, "B44A": 32,
          "DWAA": 32, "HTJ2K32": 32}  # fmt: skip
_MOST_LINES = 256  # per chunk, in any compression
_CHUNK_BYTES = 16  # minimum: its entry in the offset table, its line number and its size
_MOST_HEADER_BYTES = 256 << 20
_MOST_NAME = 4096
_MOST_PARTS = 10_000


@dataclass(frozen=True)
class RawAttribute:
    """An attribute as stored: the name of its type, and its bytes."""

    type: str
    data: bytes


@dataclass(frozen=True)
class ExrChannel:
    """One channel; `sampling` in x and y is 1 if every pixel has a value."""

    name: str
    pixel_type: PixelType
    sampling: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ExrPart:
    """One part of a file, as its header describes it."""

    name: str
    channels: tuple[ExrChannel, ...]
    data_window: Window
    display_window: Window
    compression: str
    tiled: bool
    deep: bool
    attributes: Mapping[str, RawAttribute]

    @property
    def channel_names(self) -> list[str]:
        return [channel.name for channel in self.channels]

    @property
    def scan_lines(self) -> bool:
        return not (self.tiled or self.deep)


class _Damaged(Exception):
    """A damaged header, with the reason as text."""


def read_parts(path: Path) -> list[ExrPart]:
    """Read the headers of all parts; raises PlateError: unreadable, no EXR, or damaged."""
    try:
        with path.open("rb") as file:
            return _parts(path, file)
    except OSError as error:
        raise PlateError(f"cannot read the file: {error.strerror}", path=path) from error
    except (_Damaged, struct.error, ValueError, IndexError) as error:
        raise PlateError(
            f"the EXR's header is damaged: {error}",
            path=path,
            hint="render or copy this frame again",
        ) from error


def _parts(path: Path, file: BinaryIO) -> list[ExrPart]:
    start = file.read(8)
    if not start.startswith(_MAGIC):
        actual = "an empty file" if not start else "another kind of file"
        raise PlateError(f"expected an EXR, found {actual}", path=path)
    (version,) = struct.unpack("<4xI", start)
    size = os.fstat(file.fileno()).st_size
    parts = []
    for attributes in _headers(file, min(size, _MOST_HEADER_BYTES), bool(version & _MULTIPART)):
        parts.append(_part(attributes, version))
        if len(parts) > _MOST_PARTS:
            raise _Damaged(f"it has more than {_MOST_PARTS} parts")
    room = size - file.tell()
    if sum(_fewest_chunks(part) for part in parts) * _CHUNK_BYTES > room:
        raise _Damaged(
            f"it announces {_sizes(parts)} pixels, and {room} bytes are in the file after it"
        )
    return parts


def _headers(file: BinaryIO, most: int, multipart: bool) -> Iterator[dict[str, RawAttribute]]:
    while True:
        attributes: dict[str, RawAttribute] = {}
        while name := _name(file):
            kind = _name(file)
            (count,) = struct.unpack("<i", file.read(4))
            if not 0 <= count <= most - file.tell():
                raise _Damaged(f"attribute {readable(name)} claims {count} bytes")
            attributes[readable(name)] = RawAttribute(readable(kind), file.read(count))
        if multipart and not attributes:
            return
        yield attributes
        if not multipart:
            return


def _name(file: BinaryIO) -> bytes:
    """Read up to the next NUL."""
    place = file.tell()
    name, end, _ = file.read(256).partition(b"\0")
    if not end:
        file.seek(place)
        name, end, _ = file.read(_MOST_NAME).partition(b"\0")
    if not end:
        raise _Damaged("it ends before its end" if len(name) < _MOST_NAME else "a name has no end")
    file.seek(place + len(name) + 1)
    return name


def _part(attributes: Mapping[str, RawAttribute], version: int) -> ExrPart:
    kind = _text(attributes, "type")
    if not version & (_DEEP | _MULTIPART):  # in such files the flag counts, not the type
        kind = ""
    compression = _bytes(attributes, "compression")[0]
    if compression >= len(_COMPRESSIONS):
        compression_name = f"compression {compression}"
    else:
        compression_name = _COMPRESSIONS[compression]
    return ExrPart(
        name=_text(attributes, "name"),
        channels=tuple(_channels(_bytes(attributes, "channels"))),
        data_window=_window(attributes, "dataWindow"),
        display_window=_window(attributes, "displayWindow"),
        compression=compression_name,
        tiled=kind in ("tiledimage", "deeptile") or (not kind and bool(version & _TILED)),
        deep=kind.startswith("deep") or (not kind and bool(version & _DEEP)),
        attributes=attributes,
    )


def _bytes(attributes: Mapping[str, RawAttribute], name: str) -> bytes:
    if name not in attributes:
        raise _Damaged(f"{name} is missing")
    return attributes[name].data


def _text(attributes: Mapping[str, RawAttribute], name: str) -> str:
    return readable(attributes[name].data) if name in attributes else ""


def _window(attributes: Mapping[str, RawAttribute], name: str) -> Window:
    x_min, y_min, x_max, y_max = struct.unpack("<4i", _bytes(attributes, name))
    if x_max < x_min or y_max < y_min:
        raise _Damaged(f"{name} ({x_min} {y_min})-({x_max} {y_max}) is empty")
    return Window(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)


def _channels(data: bytes) -> Iterator[ExrChannel]:
    place = 0
    while data[place]:
        end = data.index(b"\0", place)
        kind, _, x, y = struct.unpack_from("<iIii", data, end + 1)
        if not 0 <= kind < len(_PIXEL_TYPES) or x < 1 or y < 1:
            raise _Damaged(f"channel {readable(data[place:end])} has no sense")
        yield ExrChannel(readable(data[place:end]), _PIXEL_TYPES[kind], (x, y))
        place = end + 17


def _fewest_chunks(part: ExrPart) -> int:
    """Return the minimum number of chunks in the file."""
    width, height = part.data_window.width, part.data_window.height
    if not part.tiled:
        return -(-height // _LINES.get(part.compression, _MOST_LINES))
    x, y = (int(v) for v in struct.unpack_from("<II", _bytes(part.attributes, "tiles")))
    if not (x and y):
        raise _Damaged("its tiles have no size")
    return -(-width // x) * -(-height // y)


def _sizes(parts: list[ExrPart]) -> str:
    return ", ".join(f"{part.data_window.width}×{part.data_window.height}" for part in parts[:4])
