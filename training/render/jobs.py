"""Jobs for rendering processes, sent as one line of JSON each."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.render.scene import Quality


@dataclass(frozen=True, kw_only=True)
class ShotJob:
    """A job to render the layers of one frame of a shot into `folder`."""

    shot: str
    seed: int
    first: int
    last: int
    frame: int
    folder: Path
    quality: Quality

    @property
    def name(self) -> str:
        """The job in words."""
        return f"{self.shot} frame {self.frame}"


@dataclass(frozen=True, kw_only=True)
class StillJob:
    """A job to render one element's layers into `folder`, named by the seed."""

    kind: str
    seed: int
    folder: Path
    quality: Quality

    @property
    def name(self) -> str:
        """The job in words."""
        return f"seed {self.seed} ({self.kind})"


Job = ShotJob | StillJob

_TYPES: dict[str, type[ShotJob] | type[StillJob]] = {"shot": ShotJob, "still": StillJob}


def to_line(job: Job) -> str:
    """Serialise a job as one line of JSON without its newline."""
    task = "shot" if isinstance(job, ShotJob) else "still"
    fields = dataclasses.asdict(job) | {"task": task, "folder": str(job.folder)}
    return json.dumps(fields)


def from_line(line: str) -> Job:
    """Parse a job; raises ValueError or TypeError for other lines."""
    fields: dict[str, Any] = json.loads(line)
    kind = _TYPES[fields.pop("task")]
    fields["folder"] = Path(fields["folder"])
    fields["quality"] = Quality(**fields["quality"])
    return kind(**fields)
