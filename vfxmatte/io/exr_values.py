"""EXR attributes from bytes to values of the types that the OpenEXR module reads and writes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import OpenEXR

from vfxmatte.io.exr_header import RawAttribute
from vfxmatte.io.texts import readable


def value_of(attribute: RawAttribute) -> Any:
    """The attribute's value; an OpaqueAttribute where its type is unknown, or its bytes make no
    sense as that type (a time code that is no BCD, say)."""
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
    """Raises RuntimeError where a field is out of range."""
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
    found, place = [], 0
    while place < len(data):
        (count,) = struct.unpack_from("<i", data, place)
        if not 0 <= count <= len(data) - place - 4:
            raise ValueError("a text is longer than its attribute")
        found.append(readable(data[place + 4 : place + 4 + count]))
        place += 4 + count
    if not found:
        raise ValueError("no texts")
    return found


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
