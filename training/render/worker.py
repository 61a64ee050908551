"""The process that has Blender: reads jobs from stdin, renders, answers one line for each.

`training.render.blender` starts it in the interpreter that has `bpy`. Blender prints on the same
output, so an answer is a line that begins with `ANSWER`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from training.render.jobs import Job, ShotJob, from_line

ANSWER = "@render-answer "


def serve() -> None:
    """Render jobs until stdin ends; an exception fails its job only."""
    stages: dict[Any, Any] = {}
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            _render(from_line(line), stages)
            answer: dict[str, str] = {}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(f"\n{ANSWER}{json.dumps(answer)}", flush=True)


def _render(job: Job, stages: dict[Any, Any]) -> None:
    """Render one job; `stages` caches a shot's stage for its next frame."""
    from training.render import shots

    if not isinstance(job, ShotJob):
        from training.render import kinds

        kinds.render_still(job)
        return
    key = (job.shot, job.seed, job.first, job.last, job.quality)
    if key not in stages:
        stages.clear()
        frames = range(job.first, job.last + 1)
        stages[key] = shots.build(job.shot, job.seed, job.quality, frames)
    shots.render_frame(stages[key], job.frame, job.folder)


if __name__ == "__main__":
    serve()
