"""The files of a user's vfxmatte folder, and paths as people type them."""

from __future__ import annotations

import os
import platform
import re

HOME_VARIABLE = "VFXMATTE_HOME"
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "„": "“", "«": "»"}
_INVISIBLE = "\u200b\u200e\u200f\u202a\u202b\u202c\u2060\ufeff"  # zero width, but no white space


def home() -> str:
    """Return ~/.vfxmatte, or $VFXMATTE_HOME."""
    return os.environ.get(HOME_VARIABLE) or os.path.join(os.path.expanduser("~"), ".vfxmatte")


def settings_file() -> str:
    """Return the text file whose first line is where vfxmatte is; the user may edit it."""
    return os.path.join(home(), "command.txt")


def log_file() -> str:
    """Return the log of servers that were started by a client."""
    return os.path.join(home(), "run", "serve.log")


def endpoint_file() -> str:
    """Return the file with the running server's port and token, one per machine of the user."""
    machine = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node()) or "localhost"
    return os.path.join(home(), "run", f"serve-{machine}.json")


def install_hint() -> str:
    """Return how to install vfxmatte and where to record it."""
    return (
        "install it into an environment of its own (python3 -m venv vfxmatte-env; "
        "vfxmatte-env/bin/pip install vfxmatte), then write the path of that folder into "
        + settings_file()
    )


def tidy_path(text: str) -> str:
    """Return a typed path without quotes and blanks around it, `~` as the home folder.

    File managers copy paths in quotes, some with invisible marks. A quote that occurs inside the
    text too belongs to a part of it, as in a command, and stays. An empty text stays empty.
    """
    before = None
    while before != text:
        before, text = text, text.strip().strip(_INVISIBLE)
        inner = text[1:-1]
        if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in inner:
            text = inner
    return os.path.expanduser(text)


def absolute_path(value: object) -> str | None:
    """Return a path as typed (str or path object) as an absolute one; None if it is empty."""
    text = tidy_path(value) if isinstance(value, str) else str(value)
    return os.path.abspath(text) if text else None
