"""Cleaning up paths that artists type or paste."""

from __future__ import annotations

import os


def typed_path(text: str) -> str:
    """Strip spaces and surrounding quotes from a path and expand `~`.

    Quotes come from *Copy as path* in Windows and from shells. A leading `//` is left for Blender.
    """
    path = text.strip()
    if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'" and path[0] not in path[1:-1]:
        path = path[1:-1].strip()
    return os.path.expanduser(path)
