"""The child process of one device: takes runs of frames from its parent and solves them as chunks.

Started by `crew`; exchanges pickles over stdin and stdout. Its engine is opened once. It ends when
its parent ends, in whatever way.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from types import FrameType
from typing import IO

from vfxmatte.common.freed_memory import keep_freed_memory
from vfxmatte.common.parallel import every
from vfxmatte.engines.protocol import Engine
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import VfxmatteError
from vfxmatte.journal.error_log import logged
from vfxmatte.pipeline.crew_messages import Alive, Done, Failed, Job, Message, Ready, Solved
from vfxmatte.pipeline.subjects_run import open_run

_BEAT_SECONDS = 5.0
"""How often `Alive` is sent."""
_sending = threading.Lock()


def main() -> int:
    """Serve the parent until it has no more frames; returns the exit code."""
    keep_freed_memory()
    commands, answers = sys.stdin.buffer, _own_stdout()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when
    try:
        _serve(commands, answers)
    except VfxmatteError as error:
        _send(answers, Failed(error))
        return error.exit_code
    except (KeyboardInterrupt, BrokenPipeError, EOFError):
        return 130
    return 0


def _serve(commands: IO[bytes], answers: IO[bytes]) -> None:
    job: Job = pickle.load(commands)
    engine = open_engine(replace(job.settings.engine, device=job.device))
    try:
        _send(answers, Ready(dict(engine.describe()), engine.device))
        with every(_BEAT_SECONDS, lambda: _beat(answers)):
            while (numbers := pickle.load(commands)) is not None:
                _solve(job, engine, numbers, answers)
                _send(answers, Done())
    except Exception as error:
        logged(error, job.shot.output)  # the parent reads the last line alone
        raise
    finally:
        engine.close()


def _beat(answers: IO[bytes]) -> None:
    try:
        _send(answers, Alive(time.process_time()))
    except OSError:  # the parent has ended: the main thread notices
        return


def _solve(job: Job, engine: Engine, numbers: list[int], answers: IO[bytes]) -> None:
    with open_run(job.shot, job.settings, engine=engine, chunk=True, only=numbers) as run:
        left = Counter(dict.fromkeys(numbers, run.results_per_frame))
        for result in run.frames():
            left[result.number] -= 1
            _send(answers, Solved(result, last=not left[result.number]))


def _send(answers: IO[bytes], message: Message) -> None:
    data = pickle.dumps(message)
    with _sending:  # the beat has a thread of its own
        answers.write(data)
        answers.flush()


def _own_stdout() -> IO[bytes]:
    """Return the pipe to the parent; whatever else is printed goes to stderr from now on."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
