"""A check of .otio files before OpenTimelineIO reads them, whose native reader crashes on some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vfxmatte.errors import ShotError

_MAX_BYTES = 256 << 20
_OBJECTS = frozenset({
    "available_range", "duration", "media_reference", "source_range", "start_time", "tracks",
    "global_start_time", "marked_range", "in_offset", "out_offset",
})  # fmt: skip
_LISTS = frozenset({"children", "effects", "markers"})


def check_otio(path: Path) -> None:
    """Check an .otio file as plain JSON.

    Raises ShotError if it is not UTF-8 or not JSON, or if an object of the timeline lacks its
    OTIO_SCHEMA.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ShotError(f"a cut has at most {_MAX_BYTES >> 20} MiB", path=path)
        root = json.loads(path.read_text(encoding="utf-8"))
        # Half of a surrogate pair cannot be encoded again.
        json.dumps(root, ensure_ascii=False).encode("utf-8")
    except (OSError, ValueError, RecursionError) as error:
        raise ShotError(f"this cut cannot be read: {error}", path=path) from error
    _check(root, path)


def _check(root: Any, path: Path) -> None:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            _check_members(value, path)
            # Metadata of artists and other programs may hold anything.
            waiting += [one for name, one in value.items() if name != "metadata"]


def _check_members(record: dict[str, Any], path: Path) -> None:
    if "OTIO_SCHEMA" not in record:
        return
    for name in _OBJECTS & record.keys():
        may_lack = record[name] is None and name != "tracks"
        if not may_lack and not _has_schema(record[name]):
            raise _broken(name, path)
    for name in _LISTS & record.keys():
        if not isinstance(record[name], list) or not all(map(_has_schema, record[name])):
            raise _broken(name, path)
    references = record.get("media_references")
    if references is not None and (
        not isinstance(references, dict) or not all(map(_has_schema, references.values()))
    ):
        raise _broken("media_references", path)


def _has_schema(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("OTIO_SCHEMA"), str)


def _broken(name: str, path: Path) -> ShotError:
    return ShotError(
        f"this cut cannot be read: {name!r} is not what OpenTimelineIO writes there",
        path=path,
        hint="was the file edited by hand? export it again",
    )
