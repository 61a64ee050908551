"""Signatures that reveal a changed file: of its size and time, or of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_signature(path: Path) -> str:
    """Return the size and time of a file; "missing" where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return "missing"
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def content_digest(path: Path) -> str:
    """Return a digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]
