"""What of a plate's metadata the EXR of a matte carries: decided by writing it.

Every attribute is written to a file of one pixel and read back. What does not come back the same is
repaired where it can be, else left out and named: metadata must never cost a matte.
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
from vfxmatte.io.exr import STRUCTURAL
from vfxmatte.io.exr_header import RawAttribute, read_parts
from vfxmatte.io.exr_values import value_of
from vfxmatte.io.rates import known_rate
from vfxmatte.io.texts import readable
from vfxmatte.io.timecode import bcd_timecode, exr_timecode

# Attributes of other formats under the names that EXR gives them.
_EXR_NAMES = {
    "smpte:TimeCode": "timeCode",
    "FramesPerSecond": "framesPerSecond",
    "PixelAspectRatio": "pixelAspectRatio",
}
_READERS_OWN = "oiio:"  # what OpenImageIO says of the file; not in the file
_PROFILE = "ICCProfile"
_NAMED = 8  # attributes that a note names


@dataclass(frozen=True)
class Carried:
    """values: for `write_exr`. left_out: name and reason of what an EXR does not hold."""

    values: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def carried(metadata: Mapping[str, Any]) -> Carried:
    """The attributes that an EXR holds, in EXR's types, whatever kind of file they are from.

    Raises OutputError: there is no folder for temporary files.
    """
    result = Carried()
    rate = _rate(metadata)
    for found, value in metadata.items():
        name = readable(_EXR_NAMES.get(found, found))
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
    """One sentence for a person; "" where nothing was left out."""
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
    """The value in EXR's types, the truest first."""
    if name == "timeCode" and isinstance(value, (str, tuple)):
        text = value if isinstance(value, str) else bcd_timecode(int(value[0]), rate)
        yield exr_timecode(text or "", rate)
    elif name == "framesPerSecond" and isinstance(value, (int, float, str)):
        yield known_rate(value)
    elif isinstance(value, str):
        yield readable(value)
        yield readable(value).replace("\0", " ").strip()
    elif isinstance(value, OpenEXR.Rational):  # is read, and not written
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


def _is_held(name: str, value: Any) -> bool:
    return value is not None and _comes_back(name, _Form(value))


class _Form:
    """A value that can be a key: equal where type and content are."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self._key = (type(value), _content(value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Form) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _content(value: Any) -> Any:
    """Hashable, and different for different values of one type."""
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
    """Write the attribute to a file of one pixel, and read it."""
    try:
        with tempfile.TemporaryDirectory(prefix="vfxmatte-") as folder:
            path = Path(folder) / "attribute.exr"
            try:
                _write_pixel(path, {name: form.value})
                (part,) = read_parts(path)
            except Exception:  # the module raises what it likes, SystemError among it
                _write_pixel(path, {})  # is it the attribute, or the disk?
                return False
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"temporary files cannot be written: {error}",
            path=tempfile.gettempdir(),
            hint="make room there, or set TMPDIR to another folder",
        ) from error
    found = part.attributes.get(name)
    return found is not None and _same(form.value, found)


def _write_pixel(path: Path, attributes: Mapping[str, Any]) -> None:
    # Compressed, as mattes are: OpenEXR 3.5 takes more kinds of attributes without compression.
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION, **attributes}
    OpenEXR.File(header, {"A": np.zeros((1, 1), np.float16)}).write(str(path))


def _same(value: Any, found: RawAttribute) -> bool:
    if isinstance(value, OpenEXR.OpaqueAttribute):
        return (value.typeName, bytes(value.data)) == (found.type, found.data)
    if isinstance(value, OpenEXR.Bytes):
        return found.type == "bytes" and found.data.endswith(bytes(value.data))
    back = value_of(found)
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
    """Whether a list or tuple holds numbers, or arrays of them."""
    return isinstance(value, (list, tuple)) and not any(isinstance(v, str) for v in value)


def notes_of(all_metadata: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What of the metadata of several frames is left out somewhere: one note, or none."""
    left_out: dict[str, str] = {}
    for metadata in all_metadata:
        left_out = {**carried(metadata).left_out, **left_out}
    note = left_out_note(left_out)
    return (note,) if note else ()
