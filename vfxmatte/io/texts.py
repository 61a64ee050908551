"""Text from files that need not say how it is encoded."""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(rb"[\x80-\x9f]")


def readable(text: bytes | str) -> str:
    """Text as UTF-8, else as Latin-1; what neither can be is replaced by U+FFFD.

    text: bytes, or a string with the surrogates that Python puts for bytes that are not UTF-8.
    """
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if _CONTROL.search(data):  # control characters in Latin-1: it is something else
            return data.decode("utf-8", "replace")
        return data.decode("latin-1")


def error_of(source: Any) -> str:
    """The last error of OpenImageIO or of one of its inputs on one line; "" where there is none."""
    try:
        return " ".join(source.geterror().split())
    except UnicodeDecodeError:  # it quotes the file
        return "its header holds text that is none"
