"""Execution of a job from its first step to its answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from vfxmatte.errors import VfxmatteError
from vfxmatte.serve import rpc
from vfxmatte.serve.jobs import Job, Stopped
from vfxmatte.serve.rpc import RpcError

log = logging.getLogger("vfxmatte.serve")


def execute(job: Job, between: Callable[[], None]) -> None:
    """Run a job and send its answer, calling `between` between its steps."""
    started = time.monotonic()
    log.info("%s %s begins", job.kind, job.shot or "")
    try:
        outcome: dict[str, Any] | RpcError = _outcome(job, between)
    except RpcError as error:
        outcome = error
    except Stopped:
        outcome = RpcError(rpc.CANCELLED, "cancelled")
    except VfxmatteError as error:
        outcome = rpc.failed(error)
    except Exception as error:
        log.exception("a job failed")
        outcome = rpc.internal(error)
    ended = outcome.message if isinstance(outcome, RpcError) else "done"
    log.info("%s %s: %s, %.1f s", job.kind, job.shot or "", ended, time.monotonic() - started)
    job.answer(outcome)


def _outcome(job: Job, between: Callable[[], None]) -> dict[str, Any]:
    steps = job.start(job)
    try:
        job.check()  # a cancelled job opens nothing
        while True:
            next(steps)
            between()
            if job.stopped:
                steps.throw(Stopped())
    except StopIteration as end:
        return dict(end.value)
    finally:
        steps.close()
