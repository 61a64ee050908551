"""Paths as people type and paste them: with `~`, quotes, stray white space, other Unicode forms."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}


def clean_path(text: str | Path) -> Path:
    """Read a path from an option, a settings file or a host.

    White space and line ends around it, quotes around it, and `~` or `~user` at its beginning are
    understood, unless a file of the very name exists. A name that differs from one on disk by its
    Unicode form alone (`é` as one character or as two) is taken as the one on disk.
    """
    literal = str(text)
    if os.path.lexists(literal):
        return Path(literal)
    return as_on_disk(Path(os.path.expanduser(_bare(literal))))


def _bare(text: str) -> str:
    """The text without white space and matching quotes around it."""
    text = text.strip()
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text


def as_on_disk(path: Path) -> Path:
    """The path with each part in the Unicode form that the disk has, as far as it exists."""
    if path.as_posix().isascii() or os.path.lexists(path):
        return path
    found = Path(path.anchor)
    parts = path.parts[1:] if path.anchor else path.parts
    for part in parts:
        found = found / (part if os.path.lexists(found / part) else _like(found, part))
    return found


def _like(folder: Path, name: str) -> str:
    """The entry of a folder that is this name in another Unicode form; else the name itself."""
    wanted = normalised(name)
    try:
        return next((n for n in os.listdir(folder) if normalised(n) == wanted), name)
    except OSError:
        return name


def normalised(name: str) -> str:
    """A name in one Unicode form, for comparing."""
    return unicodedata.normalize("NFC", name)


def is_same_place(one: Path, other: Path) -> bool:
    """Return True if two paths are the same file or folder, through links and mounts too."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return Path(os.path.realpath(one)) == Path(os.path.realpath(other))
