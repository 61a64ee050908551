"""Shot names that are unique, and safe as folder names on every system."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_UNSAFE = re.compile(r"[^\w.\-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(text: str) -> str:
    """Reduce a text to letters, digits, `_`, `-` and inner dots; may return ""."""
    name = _UNSAFE.sub("_", text).strip("._-")
    return f"{name}_" if _RESERVED.fullmatch(name) else name


def unique_names(shots: Sequence[tuple[str, Path]]) -> list[str]:
    """Return a unique name for each pair of preferred name and plate.

    Equal names (ignoring case) get a suffix: what tells their plates apart (the file's name, else a
    folder's), so that the order of the cut does not matter; else a number.
    """
    counts = Counter(name.casefold() for name, _ in shots)
    names: list[str] = []
    taken: set[str] = set()
    for name, plate in shots:
        if counts[name.casefold()] > 1:
            alike = [p for other, p in shots if other.casefold() == name.casefold()]
            name = f"{name}_{_difference(plate, alike)}".rstrip("_")
        numbered, number = name, 2
        while numbered.casefold() in taken:
            numbered, number = f"{name}_{number}", number + 1
        taken.add(numbered.casefold())
        names.append(numbered)
    return names


def _difference(plate: Path, plates: Sequence[Path]) -> str:
    """Return the innermost part of a plate's path that no other plate has, as a safe name."""
    for part in range(max(len(p.parts) for p in plates)):
        parts = [_part(p, part).casefold() for p in plates]
        if len(set(parts)) == len(parts):
            return _part(plate, part)
    return _part(plate, 0)


def _part(plate: Path, number: int) -> str:
    """Return a part, counted from the end: the bare file name, its folder, …"""
    if number == 0:
        return safe_name(plate.name.split("#")[0].removesuffix(plate.suffix))
    return safe_name(plate.parts[-1 - number]) if number < len(plate.parts) else ""
