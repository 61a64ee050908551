"""Names of shots that are safe as folders' names on every system, and different from each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_UNSAFE = re.compile(r"[^\w.\-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(text: str) -> str:
    """Letters, digits, `_`, `-` and dots inside; "" where nothing is left."""
    name = _UNSAFE.sub("_", text).strip("._-")
    return f"{name}_" if _RESERVED.fullmatch(name) else name


def unique_names(wanted: Sequence[tuple[str, Path]]) -> list[str]:
    """A name for each shot, from the name it would like and its plate.

    Where several would like the same (capitals apart), each gets what tells their plates apart
    (the file's name, else a folder's), so that a cut in another order names them alike; where
    nothing does, a number.
    """
    counts = Counter(name.casefold() for name, _ in wanted)
    names: list[str] = []
    taken: set[str] = set()
    for name, plate in wanted:
        if counts[name.casefold()] > 1:
            alike = [p for other, p in wanted if other.casefold() == name.casefold()]
            name = f"{name}_{_difference(plate, alike)}".rstrip("_")
        numbered, number = name, 2
        while numbered.casefold() in taken:
            numbered, number = f"{name}_{number}", number + 1
        taken.add(numbered.casefold())
        names.append(numbered)
    return names


def _difference(plate: Path, plates: Sequence[Path]) -> str:
    """The innermost part of a plate's path that no other of the plates has, as a safe name."""
    for part in range(max(len(p.parts) for p in plates)):
        parts = [_part(p, part).casefold() for p in plates]
        if len(set(parts)) == len(parts):
            return _part(plate, part)
    return _part(plate, 0)


def _part(plate: Path, number: int) -> str:
    """Counted from the end: the file's name without frame number and suffix, its folder, …"""
    if number == 0:
        return safe_name(plate.name.split("#")[0].removesuffix(plate.suffix))
    return safe_name(plate.parts[-1 - number]) if number < len(plate.parts) else ""
