"""The process that has Blender: reads jobs from its input, renders, answers one line for each.

Started by `training.render.blender`; runs in the interpreter that has `bpy`. Blender prints as it
likes on the same output, so an answer is a line that begins with `ANSWER`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from training.render.jobs import Job, ShotJob, from_line

ANSWER = "@render-answer "


def serve() -> None:
    """Answer jobs until the input ends. An exception fails its job only."""
    kept: dict[Any, Any] = {}
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            _do(from_line(line), kept)
            answer: dict[str, str] = {}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(f"\n{ANSWER}{json.dumps(answer)}", flush=True)


def _do(job: Job, kept: dict[Any, Any]) -> None:
    """Render one job; the stage of a shot is kept for its next frame."""
    from training.render import shots

    if not isinstance(job, ShotJob):
        from training.render import kinds

        kinds.render_still(job)
        return
    key = (job.shot, job.seed, job.first, job.last, job.quality)
    if key not in kept:
        kept.clear()
        frames = range(job.first, job.last + 1)
        kept[key] = shots.build(job.shot, job.seed, job.quality, frames)
    shots.render_frame(kept[key], job.frame, job.folder)


if __name__ == "__main__":
    serve()
