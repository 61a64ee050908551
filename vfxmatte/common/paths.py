"""Clean paths as people type and paste them: `~`, quotes, white space, Unicode forms."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}


def clean_path(text: str | Path) -> Path:
    """Read a path from an option, a settings file or a host.

    Strips surrounding white space and quotes and expands `~` and `~user`, unless a file of the
    literal name exists. A name that differs from one on disk only by its Unicode form (`é` as one
    character or two) becomes the one on disk.
    """
    literal = str(text)
    if os.path.lexists(literal):
        return Path(literal)
    return as_on_disk(Path(os.path.expanduser(_bare(literal))))


def _bare(text: str) -> str:
    """Strip white space and matching quotes."""
    text = text.strip()
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text


def as_on_disk(path: Path) -> Path:
    """Convert each existing part of a path to its Unicode form on disk."""
    if path.as_posix().isascii() or os.path.lexists(path):
        return path
    actual = Path(path.anchor)
    parts = path.parts[1:] if path.anchor else path.parts
    for part in parts:
        actual = actual / (part if os.path.lexists(actual / part) else _like(actual, part))
    return actual


def _like(folder: Path, name: str) -> str:
    """Return the folder's entry of this name in another Unicode form, or the name itself."""
    normal = normalised(name)
    try:
        return next((n for n in os.listdir(folder) if normalised(n) == normal), name)
    except OSError:
        return name


def normalised(name: str) -> str:
    """Convert a name to Unicode form NFC, for comparison."""
    return unicodedata.normalize("NFC", name)


def existing_folder(path: Path) -> Path:
    """Return a path, made absolute, or the nearest folder above it that exists."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if place.exists()), path)


def is_same_place(one: Path, other: Path) -> bool:
    """Return True if two paths are the same file or folder, also through links and mounts."""
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return Path(os.path.realpath(one)) == Path(os.path.realpath(other))
