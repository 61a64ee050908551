"""Inputs made from others: bytes changed, pieces moved, numbers and words that hurt."""

from __future__ import annotations

import json
import random
import re
import struct
from typing import Any

_NUMBERS = (0, 1, 127, 128, 255, 256, 32767, 65535, 1 << 24, 2**31 - 1, 2**31, 2**32 - 1)
_WORDS = (
    b"", b"\0", b"-1", b"0", b"1e999", b"nan", b"99999999999999999999", b"null", b"true", b"[]",
    b"{}", b'"', b"'", b"\\", b"../", b"/", b"~", b"%s", b"#", b"\xff\xfe", b"\xed\xa0\x80",
    b"\\ud800", b"\r\n", b"[" * 50, b"{" * 50, b"x" * 300, b"1001-1", b"1-9999999999", b"x0", b":0",
    b".5", b"= ", b"ocio://x", b"\xc3\xa9", b"Infinity",
)  # fmt: skip


_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e300, "", "\0", "/", "..", "~",
    "cuda:9",
    "x" * 5000, "\udc80", "1-2", "1-9999999", "{folder}/none", "{folder}/array", "{folder}", [], {},
    [[]], [1, 2], [-1, 5, 3], {"a": 1}, [0], "float32", "exr", "ocio://x", "knn", "é", 1001,
)  # fmt: skip


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to six changes; other: an input of the same kind, whose pieces may be taken."""
    if rng.random() < 0.6:
        before, data = data, _restructured(data, rng)
        if data != before and rng.random() < 0.7:
            return data
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_CHANGES)(found, other, rng)
    return bytes(found)


def _restructured(data: bytes, rng: random.Random) -> bytes:
    """JSON (bare, in lines, or in frames with their lengths) with other values; else as it is."""
    framed = re.match(rb"Content-Length: \d+\r\n\r\n", data) is not None
    if framed:
        pieces = re.split(rb"Content-Length: \d+\r\n\r\n", data)[1:]
    else:
        pieces = [data] if _is_json(data) else data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        number = rng.randrange(len(pieces))
        try:
            value = json.loads(pieces[number])
        except ValueError:
            continue
        pieces[number] = json.dumps(_changed(value, rng)).encode()
    if framed:
        return b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(p), p) for p in pieces)
    return b"\n".join(pieces)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _changed(value: Any, rng: random.Random) -> Any:
    """The value with one place in it changed, somewhere deep or not."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.1:
            return {key: one for key, one in value.items() if key != name}
        if kind < 0.2:
            return {**value, rng.choice([*value, "x", ""]): value[name]}
        return {**value, name: _changed(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _changed(value[place], rng), *value[place + rng.choice((0, 1)) :]]
    return rng.choice(_VALUES)


def _place(found: bytearray, rng: random.Random) -> int:
    """Anywhere, but often near the beginning, where headers are."""
    end = len(found) if rng.random() < 0.5 else min(len(found), 512)
    return rng.randrange(end + 1)


def _flip(found: bytearray, other: bytes, rng: random.Random) -> None:
    if found:
        found[min(_place(found, rng), len(found) - 1)] ^= 1 << rng.randrange(8)


def _number(found: bytearray, other: bytes, rng: random.Random) -> None:
    at, value = _place(found, rng), rng.choice(_NUMBERS)
    kind = rng.choice(("<I", ">I", "<H", ">H", "B", "<Q"))
    size = struct.calcsize(kind)
    found[at : at + size] = struct.pack(kind, value % (1 << 8 * size))


def _word(found: bytearray, other: bytes, rng: random.Random) -> None:
    at, word = _place(found, rng), rng.choice(_WORDS)
    found[at : at + rng.choice((0, 1, len(word)))] = word


def _cut(found: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(found, rng)
    del found[at : at + rng.choice((1, 4, 64, len(found)))]


def _repeat(found: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(found, rng)
    piece = bytes(found[at : at + rng.choice((1, 8, 64))])
    found[at:at] = piece * rng.choice((1, 2, 20))


def _splice(found: bytearray, other: bytes, rng: random.Random) -> None:
    if other:
        at, start = _place(found, rng), rng.randrange(len(other))
        size = rng.choice((4, 32, 256, len(other)))
        found[at : at + size] = other[start : start + size]


def _noise(found: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(found, rng)
    found[at : at + 8] = rng.randbytes(8)


_CHANGES = (_flip, _flip, _number, _number, _word, _cut, _repeat, _splice, _noise)
