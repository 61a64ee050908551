"""Events and totals of a run, checked so that hosts need not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import Record

_COUNTS = ("frames", "written", "kept", "failed", "skipped")
_REST = ("device", "mattes", "suggested_keyframe", "suggested_confidence", "suggested_subject")


def is_event(record: Any) -> bool:
    """Return True if a record is an event whose values have the types that hosts rely on."""
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        return False
    event, error, path = record["event"], record.get("error"), record.get("path")
    if event == "frame":
        valid = error is None or (isinstance(error, dict) and isinstance(error.get("message"), str))
        return type(record.get("frame")) is int and valid and isinstance(path, (str, type(None)))
    if event == "start":
        return type(record.get("count")) is int
    if event == "fit":
        step, steps = record.get("step"), record.get("steps")
        return type(step) is int and type(steps) is int and steps > 0
    return True


def no_totals() -> Record:
    """Return the totals of a run that was cancelled before it began."""
    times = {"seconds": 0.0, "fps": 0.0, "files": [], "interrupted": True}
    return {**dict.fromkeys(_COUNTS, 0), **dict.fromkeys(_REST), "subjects": {}, **times}


def complete_totals(values: Record) -> Record:
    """Return a run's totals with every name that hosts use, counts as int."""
    totals = {**no_totals(), "interrupted": False, **values}
    for name in _COUNTS:
        if type(totals[name]) is not int:
            totals[name] = 0
    return totals
