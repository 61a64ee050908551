"""Select the metadata of a plate that the EXR of a matte can carry, by trying.

Every attribute is written to a one-pixel file and read back. A value that changes is converted if
possible, else left out and reported: metadata must never prevent a matte.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from vfxmatte.errors import OutputError
from vfxmatte.io.rates import known_rate
from vfxmatte.io.stills.exr import STRUCTURAL
from vfxmatte.io.stills.exr_header import RawAttribute, read_parts
from vfxmatte.io.stills.exr_values import exr_timecode, value_of
from vfxmatte.io.texts import readable
from vfxmatte.io.timecode import bcd_timecode

# Attributes of other formats under the names that EXR gives them.
_EXR_NAMES = {
    "smpte:TimeCode": "timeCode",
    "FramesPerSecond": "framesPerSecond",
    "PixelAspectRatio": "pixelAspectRatio",
}
_READERS_OWN = "oiio:"  # prefix of what OpenImageIO adds itself
_PROFILE = "ICCProfile"
_NAMED = 8  # maximum number of attributes named in a note


@dataclass(frozen=True)
class Carried:
    """Attributes sorted by whether an EXR can hold them."""

    values: dict[str, Any] = field(default_factory=dict)
    """The attributes that `write_exr` can store."""
    left_out: dict[str, str] = field(default_factory=dict)
    """The reason for leaving each of the others out, by name."""


def carried(metadata: Mapping[str, Any]) -> Carried:
    """Convert the attributes of any kind of file to EXR's types.

    Raises OutputError if no temporary file can be written.
    """
    result = Carried()
    rate = _rate(metadata)
    for original, value in metadata.items():
        name = readable(_EXR_NAMES.get(original, original))
        if name.startswith(_READERS_OWN):
            continue
        if name.startswith(_PROFILE):
            result.left_out[_PROFILE] = "a profile of the plate's colour"
        elif name in STRUCTURAL:
            result.left_out[name] = "EXR uses this name itself"
        elif (held := _first_held(name, value, rate)) is not None:
            result.values[name] = held
        else:
            result.left_out[name] = _reason(name, value)
    return result


def left_out_note(left_out: Mapping[str, str]) -> str:
    """Format what is left out as one sentence; "" if nothing is."""
    if not left_out:
        return ""
    names = [f"{name} ({reason})" for name, reason in left_out.items()]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"not carried to the mattes: {', '.join(names[:_NAMED])}{more}"


def _rate(metadata: Mapping[str, Any]) -> Fraction | None:
    return known_rate(metadata.get("framesPerSecond", metadata.get("FramesPerSecond")))


def _reason(name: str, value: Any) -> str:
    if name == "timeCode":
        return f"{value} is none that EXR can hold"
    if isinstance(value, OpenEXR.OpaqueAttribute):
        return f"of type {value.typeName}"
    return "an EXR cannot hold it"


def _first_held(name: str, value: Any, rate: Fraction | None) -> Any:
    return next((form for form in _forms(name, value, rate) if _is_held(name, form)), None)


def _forms(name: str, value: Any, rate: Fraction | None) -> Iterator[Any]:
    """Yield the value in EXR's types, the most faithful first."""
    if name == "timeCode" and isinstance(value, (str, tuple)):
        text = value if isinstance(value, str) else bcd_timecode(int(value[0]), rate)
        yield exr_timecode(text or "", rate)
    elif name == "framesPerSecond" and isinstance(value, (int, float, str)):
        yield known_rate(value)
    elif isinstance(value, str):
        yield readable(value)
        yield readable(value).replace("\0", " ").strip()
    elif isinstance(value, OpenEXR.Rational):  # OpenEXR reads it but cannot write it
        yield Fraction(value.n, value.d) if value.d else None
    elif isinstance(value, np.generic):
        yield from _forms(name, value.item(), rate)
    elif isinstance(value, (bool, int, float)):
        yield value if isinstance(value, float) else int(value)
        with suppress(OverflowError):
            yield float(value)
    elif isinstance(value, (bytes, np.ndarray)):
        yield value
        yield OpenEXR.Bytes(bytes(value))
    elif isinstance(value, (list, tuple)):
        yield from _sequence_forms(value)
    else:
        yield value


def _sequence_forms(values: list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    if all(isinstance(item, str) for item in values):
        yield [readable(item) for item in values]
        return
    yield values
    if all(isinstance(item, (int, float)) for item in values):
        yield [float(item) for item in values]


_PLAIN_TEXT = "text"


def _is_held(name: str, value: Any) -> bool:
    if value is None:
        return False
    if type(value) is str and value and value.isascii() and value.isprintable():
        value = _PLAIN_TEXT  # of these one is as good as another: each frame has some of its own
    return _comes_back(name, _Form((type(value), _content(value)), value))


@dataclass(frozen=True)
class _Form:
    """A hashable wrapper, equal if type and content of the value are."""

    key: tuple[type, Any]
    value: Any = field(compare=False)


def _content(value: Any) -> Any:
    """Return a hashable content, distinct for distinct values of one type."""
    if isinstance(value, OpenEXR.OpaqueAttribute):
        return value.typeName, bytes(value.data)
    if isinstance(value, OpenEXR.Bytes):
        return value.type_hint, bytes(value.data)
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return tuple((type(item), _content(item)) for item in value)
    return repr(value)


@lru_cache(maxsize=4096)
def _comes_back(name: str, form: _Form) -> bool:
    """Write the attribute to a one-pixel file and compare what is read."""
    try:
        with tempfile.TemporaryDirectory(prefix="vfxmatte-") as folder:
            path = Path(folder) / "attribute.exr"
            try:
                _write_pixel(path, {name: form.value})
                (part,) = read_parts(path)
            except Exception:  # the module raises anything, even SystemError
                _write_pixel(path, {})  # raises if the disk, not the attribute, is the problem
                return False
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"temporary files cannot be written: {error}",
            path=tempfile.gettempdir(),
            hint="make room there, or set TMPDIR to another folder",
        ) from error
    raw = part.attributes.get(name)
    return raw is not None and _same(form.value, raw)


def _write_pixel(path: Path, attributes: Mapping[str, Any]) -> None:
    # Compressed like mattes: OpenEXR 3.5 accepts more attributes without compression.
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION, **attributes}
    OpenEXR.File(header, {"A": np.zeros((1, 1), np.float16)}).write(str(path))


def _same(value: Any, raw: RawAttribute) -> bool:
    if isinstance(value, OpenEXR.OpaqueAttribute):
        return (value.typeName, bytes(value.data)) == (raw.type, raw.data)
    if isinstance(value, OpenEXR.Bytes):
        return raw.type == "bytes" and raw.data.endswith(bytes(value.data))
    back = value_of(raw)
    if isinstance(back, OpenEXR.OpaqueAttribute):
        return False
    if isinstance(value, (float, int, np.ndarray)) or _is_numbers(value):
        try:
            return np.allclose(np.asarray(value, float).ravel(), np.asarray(back, float).ravel(),
                               rtol=1e-6, atol=1e-37, equal_nan=True)  # fmt: skip
        except (TypeError, ValueError):
            return False
    return bool(back == value)


def _is_numbers(value: Any) -> bool:
    """Return True for a list or tuple of numbers or arrays."""
    return isinstance(value, (list, tuple)) and not any(isinstance(v, str) for v in value)


def notes_of(all_metadata: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Report what is left out of the metadata of several frames: one note, or none."""
    left_out: dict[str, str] = {}
    for metadata in all_metadata:
        left_out = {**carried(metadata).left_out, **left_out}
    note = left_out_note(left_out)
    return (note,) if note else ()
