"""Refusing to replace files that exist."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vfxmatte.errors import OutputError


def refuse_existing(paths: Iterable[Path], *, overwrite: bool, message: str, hint: str) -> None:
    """Raise OutputError naming the first of the files that exists, unless `overwrite`.

    Args:
        message: `{count}` in it is replaced by how many of them exist, `{are}` by the verb.
    """
    existing = [path for path in paths if path.exists()]
    if existing and not overwrite:
        count, are = len(existing), "is" if len(existing) == 1 else "are"
        raise OutputError(message.format(count=count, are=are), path=existing[0], hint=hint)
