"""Rendering processes with Blender: interpreter, distribution of jobs, recovery from crashes.

Blender as a module (`bpy`) needs Python 3.11 and numpy 1, so it lives in an environment of its own:
`--blender-python`, else $VFXMATTE_BLENDER_PYTHON, else the interpreter that runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from training.render.jobs import Job, to_line
from training.render.worker import ANSWER
from vfxmatte.errors import UsageError

ENVIRONMENT_VARIABLE = "VFXMATTE_BLENDER_PYTHON"

_HINT = f"""bpy needs Python 3.11 and numpy 1, vfxmatte numpy 2: give it an environment of its own
  python3.11 -m venv .venv-blender && .venv-blender/bin/pip install bpy==5.0.1
  and pass --blender-python .venv-blender/bin/python (or set ${ENVIRONMENT_VARIABLE})"""


@dataclass(frozen=True)
class Outcome:
    """The result of a job."""

    job: Job
    error: str | None = None
    """What failed; None if the job was rendered."""


class Renderer(Protocol):
    """A renderer of one job after another."""

    def render(self, job: Job) -> str | None:
        """Render a job, also after a crash in an earlier one; returns None or the error."""

    def close(self) -> None: ...


def find_interpreter(preferred: str | Path | None = None) -> Path:
    """Find the Python that has `bpy`.

    Raises:
        UsageError: it lacks `bpy`; the hint has the commands that install it.
    """
    chosen = Path(preferred or os.environ.get(ENVIRONMENT_VARIABLE) or sys.executable)
    check = "import importlib.util, sys; sys.exit(importlib.util.find_spec('bpy') is None)"
    try:
        result = subprocess.run([str(chosen), "-c", check], capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"cannot start Python: {error}", path=chosen, hint=_HINT) from error
    if result.returncode != 0:
        raise UsageError("Blender (bpy) is not installed in this Python", path=chosen, hint=_HINT)
    return chosen


def _answered(process: subprocess.Popen[str], job: str) -> Iterator[str]:
    """Send one line, and give those that come back."""
    if process.stdin is not None:
        process.stdin.write(job + "\n")
        process.stdin.flush()
    for line in process.stdout or ():  # noqa: UP028 - `yield from` would close the pipe
        yield line


class BlenderProcess:
    """A rendering process, started at the first job and again after a crash."""

    def __init__(self, interpreter: Path) -> None:
        self._interpreter = interpreter
        self._process: subprocess.Popen[str] | None = None

    def render(self, job: Job) -> str | None:
        process = self._process or self._start()
        last = ""
        try:
            for line in _answered(process, to_line(job)):
                if line.startswith(ANSWER):
                    answer: dict[str, str] = json.loads(line[len(ANSWER) :])
                    return answer.get("error")
                last = line.strip() or last
        except BrokenPipeError:
            pass
        except (ValueError, AttributeError):
            process.kill()
            last = "an answer that cannot be understood"
        self._process = None
        return (
            f"the renderer ended with exit code {process.wait()}; its last words: {last or 'none'}"
        )

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [str(self._interpreter), "-m", "training.render.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        return self._process


def run_jobs(
    jobs: Iterable[Job], start: Callable[[], Renderer], *, workers: int
) -> Iterator[Outcome]:
    """Render jobs in `workers` renderers at once; yields each outcome as it comes.

    A failed job is an outcome with its error, and the others are still rendered. `start` creates a
    renderer.
    """
    renderers = [start() for _ in range(workers)]
    idle: SimpleQueue[Renderer] = SimpleQueue()
    for renderer in renderers:
        idle.put(renderer)

    def one(job: Job) -> Outcome:
        renderer = idle.get()
        try:
            return Outcome(job, renderer.render(job))
        finally:
            idle.put(renderer)

    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for done in as_completed([pool.submit(one, job) for job in jobs]):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)
        for renderer in renderers:
            renderer.close()
