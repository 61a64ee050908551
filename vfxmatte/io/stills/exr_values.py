"""Decode EXR attributes into the types that the OpenEXR module writes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import OpenEXR

from vfxmatte.io.stills.exr_header import RawAttribute
from vfxmatte.io.texts import readable

_TEXT = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})([:;.,])(\d{1,3})")
_FASTEST = 30
_FASTEST_PAIRS = 60


def value_of(attribute: RawAttribute) -> Any:
    """Decode an attribute; an OpaqueAttribute if its type is unknown or its bytes are invalid."""
    decode = _DECODERS.get(attribute.type)
    try:
        if decode is not None:
            return decode(attribute.data)
    except (struct.error, ValueError, TypeError, RuntimeError, ZeroDivisionError):
        pass
    return OpenEXR.OpaqueAttribute(attribute.data, attribute.type)


def _number(form: str) -> Callable[[bytes], Any]:
    return lambda data: struct.unpack(form, data)[0]


def _array(dtype: str, *shape: int) -> Callable[[bytes], Any]:
    return lambda data: np.frombuffer(data, dtype).reshape(shape).astype(dtype[1:])


def _box(dtype: str) -> Callable[[bytes], Any]:
    return lambda data: tuple(np.frombuffer(data, dtype).reshape(2, 2).astype(dtype[1:]))


def _rational(data: bytes) -> Fraction:
    return Fraction(*struct.unpack("<iI", data))


def _timecode(data: bytes) -> Any:
    """Decode a time code; raises RuntimeError if a field is out of range."""
    time, user = struct.unpack("<II", data)
    fields = [_bcd(time >> 24 & 0x3F), _bcd(time >> 16 & 0x7F), _bcd(time >> 8 & 0x7F)]
    flags = [time >> bit & 1 for bit in (6, 7, 15, 23, 30, 31)]
    groups = [user >> 4 * i & 0xF for i in range(8)]
    return OpenEXR.TimeCode(*fields, _bcd(time & 0x3F), *flags, *groups)


def _bcd(byte: int) -> int:
    tens, ones = divmod(byte, 16)
    if ones > 9:
        raise ValueError("no binary-coded decimal")
    return 10 * tens + ones


def _texts(data: bytes) -> list[str]:
    texts, place = [], 0
    while place < len(data):
        (count,) = struct.unpack_from("<i", data, place)
        if not 0 <= count <= len(data) - place - 4:
            raise ValueError("a text is longer than its attribute")
        texts.append(readable(data[place + 4 : place + 4 + count]))
        place += 4 + count
    if not texts:
        raise ValueError("no texts")
    return texts


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "int": _number("<i"),
    "float": _number("<f"),
    "double": _number("<d"),
    "string": readable,
    "stringvector": _texts,
    "floatvector": lambda data: np.frombuffer(data, "<f4").tolist(),
    "rational": _rational,
    "timecode": _timecode,
    "keycode": lambda data: OpenEXR.KeyCode(*struct.unpack("<7i", data)),
    "chromaticities": lambda data: struct.unpack("<8f", data),
    "envmap": lambda data: OpenEXR.Envmap(*struct.unpack("<B", data)),
    "box2i": _box("<i4"),
    "box2f": _box("<f4"),
    **{f"v{n}{kind}": _array(dtype, n) for n in (2, 3)
       for kind, dtype in (("i", "<i4"), ("f", "<f4"), ("d", "<f8"))},
    **{f"m{n}{n}{kind}": _array(dtype, n, n) for n in (3, 4)
       for kind, dtype in (("f", "<f4"), ("d", "<f8"))},
}  # fmt: skip


def exr_timecode(text: str, rate: Fraction | None) -> Any:
    """Create an OpenEXR.TimeCode; None if it cannot hold the time code.

    Above 30 fps a time code counts pairs of frames, and the field mark is the frame of the pair
    (SMPTE 12-1); above 60 there is no representation.

    Args:
        text: `01:02:03:04`; `;` before the frames marks drop-frame.
        rate: frames per second.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    nominal = round(rate) if rate is not None else _FASTEST
    if nominal > _FASTEST_PAIRS:
        return None
    second_of_pair = 0
    if nominal > _FASTEST:
        frame, second_of_pair = divmod(frame, 2)
    drop = int(match[4] != ":")
    try:
        return OpenEXR.TimeCode(
            hours, minutes, seconds, frame, drop, 0, second_of_pair, *([0] * 11)
        )
    except (RuntimeError, ValueError, TypeError):
        return None
