"""One job from its first step to its answer, whatever happens on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from vfxmatte.errors import VfxmatteError
from vfxmatte.serve import rpc
from vfxmatte.serve.jobs import Job, Stopped
from vfxmatte.serve.rpc import RpcError

log = logging.getLogger("vfxmatte.serve")


def do(job: Job, between: Callable[[], None]) -> None:
    """All of a job, and its answer; `between` is called between its steps."""
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
    job.answer(outcome)


def _outcome(job: Job, between: Callable[[], None]) -> dict[str, Any]:
    steps = job.start(job)
    try:
        job.check()  # before anything is opened: nobody wants it any more
        while True:
            next(steps)
            between()
            if job.stopped:
                steps.throw(Stopped())
    except StopIteration as end:
        return dict(end.value)
    finally:
        steps.close()
