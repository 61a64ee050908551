"""Read time code and frame rate of DPX and Cineon files from their film and television headers.

Some programs omit these headers; the offset of the picture shows it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from vfxmatte.io.rates import known_rate
from vfxmatte.io.timecode import bcd_timecode

_ORDERS = {b"SDPX": ">", b"XPDS": "<", b"\x80\x2a\x5f\xd7": ">", b"\xd7\x5f\x2a\x80": "<"}
_HEADERS_BYTES = 2048
_TELEVISION_TIME, _TELEVISION_RATE, _FILM_RATE, _CINEON_RATE = 1920, 1940, 1724, 1072
_SLOWEST, _FASTEST = 1, 1000  # plausible frame rates; unset fields hold anything

# What OpenImageIO reads from the film and television headers, even if they are missing.
_FROM_HEADERS = frozenset({
    "dpx:BlackGain", "dpx:BlackLevel", "dpx:BreakPoint", "dpx:FieldNumber", "dpx:FilmEdgeCode",
    "dpx:Format", "dpx:FrameId", "dpx:FramePosition", "dpx:FrameRate", "dpx:Gamma",
    "dpx:HeldCount", "dpx:HorizontalSampleRate", "dpx:IntegrationTimes", "dpx:Interlace",
    "dpx:SequenceLength", "dpx:ShutterAngle", "dpx:Signal", "dpx:SlateInfo",
    "dpx:TemporalFrameRate", "dpx:TimeCode", "dpx:TimeOffset", "dpx:UserBits",
    "dpx:VerticalSampleRate", "dpx:WhiteLevel", "smpte:KeyCode", "smpte:TimeCode",
})  # fmt: skip


def film_metadata(path: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Add `timeCode` (text) and `framesPerSecond`; drop values read from missing headers."""
    known = dict(metadata)
    with path.open("rb") as file:
        head = file.read(_HEADERS_BYTES)
    order = _ORDERS.get(head[:4])
    if order is None or len(head) < _HEADERS_BYTES:
        return known
    if struct.unpack_from(order + "I", head, 4)[0] < _HEADERS_BYTES:  # offset of the picture
        return {name: value for name, value in known.items() if name not in _FROM_HEADERS}
    cineon = not head[:4].isalpha()
    rate = _rate(head, order, (_CINEON_RATE,) if cineon else (_TELEVISION_RATE, _FILM_RATE))
    if rate is not None:
        known["framesPerSecond"] = rate
    if not cineon:
        (word,) = struct.unpack_from(order + "I", head, _TELEVISION_TIME)
        timecode = bcd_timecode(word, rate)
        known = {k: v for k, v in known.items() if k not in ("smpte:TimeCode", "dpx:TimeCode")}
        if timecode is not None:
            known["timeCode"] = timecode
    return known


def _rate(head: bytes, order: str, places: tuple[int, ...]) -> Fraction | None:
    for place in places:
        (value,) = struct.unpack_from(order + "f", head, place)
        if _SLOWEST <= value <= _FASTEST:
            return known_rate(value)
    return None
