"""Decode text from files that do not state its encoding."""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(rb"[\x80-\x9f]")


def readable(text: bytes | str) -> str:
    """Decode UTF-8, else Latin-1, else UTF-8 with U+FFFD.

    Args:
        text: bytes, or a string with surrogate escapes for bytes that are not UTF-8.
    """
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if _CONTROL.search(data):  # control characters in Latin-1, so it is neither
            return data.decode("utf-8", "replace")
        return data.decode("latin-1")


def error_of(source: Any) -> str:
    """Return the last error of OpenImageIO or one of its inputs on one line, or ""."""
    try:
        return " ".join(source.geterror().split())
    except UnicodeDecodeError:  # the message quotes the file
        return "its header holds text that is none"
