"""The values of an inspection for programs.

Loads no torch.
"""

from __future__ import annotations

from typing import Any

from vfxmatte.reporting.inspection import Inspection, KeyframeFinding
from vfxmatte.types import numbers_as_text


def as_plain(inspection: Inspection) -> dict[str, Any]:
    """Return an inspection's values for JSON; unknown ones are None."""
    plate, plan = inspection.plate, inspection.plan
    return {
        "event": "check",
        "shot": inspection.shot.name,
        "output": str(inspection.shot.output),
        "plate": None
        if plate is None
        else {
            "spec": plate.spec,
            "frames": numbers_as_text(plate.numbers),
            "missing": numbers_as_text(plate.missing),
            "unreadable": numbers_as_text(plate.unreadable),
            "width": plate.display_window.width,
            "height": plate.display_window.height,
            "fps": None if plate.fps is None else float(plate.fps),
            "description": plate.description,
            "colorspace": plate.colour_space,
            "colorspace_reason": plate.colour_reason,
        },
        "keyframes": [_keyframe_as_plain(one) for one in inspection.keyframes],
        "subjects": {name: _subject_as_plain(one) for name, one in inspection.subjects.items()},
        "weights": inspection.weights,
        "frames": None if plan is None else numbers_as_text(plan.numbers),
        "locked": None if plan is None else numbers_as_text(plan.locked),
        "limits": None if plan is None else plan.limits.texts(),
        "to_do": inspection.to_do,
        "finished": inspection.finished,
        "rewritten": inspection.rewritten,
        "stale": inspection.stale,
        "needed_bytes": inspection.needed_bytes,
        "free_bytes": inspection.free_bytes,
        "notes": inspection.remarks,
        "problems": [str(problem) for problem in inspection.problems],
        "exit_code": inspection.exit_code,
    }


def _subject_as_plain(inspection: Inspection) -> dict[str, Any]:
    return {
        "output": str(inspection.shot.output),
        "keyframes": [_keyframe_as_plain(one) for one in inspection.keyframes],
        "to_do": inspection.to_do,
        "finished": inspection.finished,
        "rewritten": inspection.rewritten,
        "stale": inspection.stale,
    }


def _keyframe_as_plain(one: KeyframeFinding) -> dict[str, Any]:
    return {
        "frame": one.number,
        "path": str(one.path),
        "used": one.used,
        "unknown_share": one.unknown_share,
        "remark": one.remark,
        "error": None if one.error is None else str(one.error),
    }
