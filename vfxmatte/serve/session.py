"""What one client may say, and what it is answered. Knows no transport."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from vfxmatte.cli.check import as_plain
from vfxmatte.errors import VfxmatteError
from vfxmatte.reporting.inspection import inspect
from vfxmatte.serve import rpc
from vfxmatte.serve.endpoint import PROTOCOL
from vfxmatte.serve.jobs import Job, JobQueue, Steps
from vfxmatte.serve.kept import KeptEngines
from vfxmatte.serve.outbox import Outbox
from vfxmatte.serve.params import Params
from vfxmatte.serve.rpc import Request, RpcError
from vfxmatte.serve.wishes import FrameWish, PixelsWish, RunWish, shot_wish
from vfxmatte.version import __version__

log = logging.getLogger("vfxmatte.serve")


class House(Protocol):
    """What all clients share."""

    @property
    def queue(self) -> JobQueue: ...
    @property
    def engines(self) -> KeptEngines: ...
    @property
    def client_count(self) -> int: ...
    def stop(self) -> None: ...


@dataclass(eq=False, kw_only=True)
class Session:
    """One client, which has shown the token or has started this process.

    give_up: called where the client cannot be answered any more.
    """

    house: House
    outbox: Outbox
    give_up: Callable[[], None]

    def take(self, body: bytes) -> None:
        """One message; everything that is wrong with it becomes an answer."""
        ident = None
        try:
            message = rpc.parse(body)
            ident = rpc.ident_of(message)
            request = rpc.request(message)
            answer = self._answer(request)
        except RpcError as error:
            self._send(rpc.failure(ident, error))
        except VfxmatteError as error:
            self._send(rpc.failure(ident, rpc.failed(error)))
        except Exception as error:
            log.exception("a request failed")
            self._send(rpc.failure(ident, rpc.internal(error)))
        else:
            if answer is not None and request.ident is not None:
                self._send(rpc.result(request.ident, answer))

    def leave(self) -> None:
        """The client has gone: so do its jobs."""
        self.house.queue.cancel(self)
        self.outbox.close()

    def refuse(self, error: RpcError) -> None:
        """Tell of an error that answers no request."""
        self._send(rpc.failure(None, error))

    def _answer(self, request: Request) -> dict[str, Any] | None:
        """None: the answer comes later."""
        method = _METHODS.get(request.method)
        if method is None:
            raise RpcError(
                rpc.NO_SUCH_METHOD,
                f"there is no method {request.method!r:.80}; there is {', '.join(_METHODS)}",
            )
        return method(self, Params(request.params), request)

    def _send(self, message: bytes) -> None:
        if not self.outbox.put_answer(message):
            log.warning("a client does not read its answers: it is given up")
            self.give_up()

    # -- methods: short ones -----------------------------------------------------------------

    def _hello(self, params: Params, _: Request) -> dict[str, Any]:
        params.text("token")
        params.text("client")
        params.end()
        return {
            "protocol": PROTOCOL,
            "version": __version__,
            "pid": os.getpid(),
            "start": os.environ.get("VFXMATTE_START"),
        }

    def _open(self, params: Params, _: Request) -> dict[str, Any]:
        shot = shot_wish(params)
        params.end()
        return as_plain(inspect(shot))

    def _devices(self, params: Params, _: Request) -> dict[str, Any]:
        params.end()
        from vfxmatte.serve.hardware import devices

        return {"devices": devices()}

    def _cancel(self, params: Params, _: Request) -> dict[str, Any]:
        ident = params.ident("job")
        params.end()
        return {"cancelled": self.house.queue.cancel(self, ident)}

    def _status(self, params: Params, _: Request) -> dict[str, Any]:
        params.end()
        devices = self.house.engines.devices
        return {
            "version": __version__,
            "pid": os.getpid(),
            "device": devices[0] if devices else None,
            "clients": self.house.client_count,
            "jobs": [self._job_values(job) for job in self.house.queue.jobs()],
        }

    def _job_values(self, job: Job) -> dict[str, Any]:
        mine = job.client is self
        return {
            "id": job.ident if mine else None,
            "mine": mine,
            "kind": job.kind,
            "shot": job.shot,
            "state": "running" if job.running else "waiting",
            "done": job.done,
            "count": job.count,
        }

    def _shutdown(self, params: Params, request: Request) -> None:
        params.end()
        if request.ident is not None:
            self._send(rpc.result(request.ident, {}))
        self.house.stop()

    # -- methods: jobs -----------------------------------------------------------------------

    def _run(self, params: Params, request: Request) -> None:
        wish = RunWish.of(params)
        from vfxmatte.serve.work import RunWork

        self._put(
            request,
            RunWork(wish, self.house.engines).steps,
            shot=wish.shot.name,
            urgent=wish.is_short,
            output=str(wish.shot.output),
        )

    def _matte(self, params: Params, request: Request) -> None:
        wish = FrameWish.of(params)
        from vfxmatte.serve.work import frame_steps

        steps = partial(frame_steps, wish, self.house.engines)
        self._put(request, steps, shot=wish.plate.name, urgent=True)

    def _pixels(self, params: Params, request: Request) -> None:
        wish = PixelsWish.of(params)
        from vfxmatte.serve.work import pixels_steps

        self._put(request, partial(pixels_steps, wish, self.house.engines), urgent=True)

    def _put(self, request: Request, start: Callable[[Job], Steps], **about: Any) -> None:
        ident = request.ident
        if ident is None:
            raise RpcError(rpc.INVALID_REQUEST, f"{request.method} needs an id: it is a job's name")
        job = Job(
            client=self,
            ident=ident,
            kind=request.method,
            start=start,
            answer=partial(self._done, ident),
            emit=partial(self._event, ident),
            **about,
        )
        self.house.queue.put(job)

    def _event(self, ident: rpc.Ident, event: str, **values: Any) -> None:
        told = {"job": ident, "event": event, **values}
        self.outbox.put_event(rpc.notification("event", told))

    def _done(self, ident: rpc.Ident, outcome: Mapping[str, Any] | RpcError) -> None:
        if isinstance(outcome, RpcError):
            self._send(rpc.failure(ident, outcome))
        else:
            dropped = {"dropped_events": self.outbox.dropped} if self.outbox.dropped else {}
            self._send(rpc.result(ident, {**outcome, **dropped}))


_Method = Callable[[Session, Params, Request], dict[str, Any] | None]
_METHODS: dict[str, _Method] = {
    "hello": Session._hello,
    "open": Session._open,
    "run": Session._run,
    "matte": Session._matte,
    "pixels": Session._pixels,
    "cancel": Session._cancel,
    "devices": Session._devices,
    "status": Session._status,
    "shutdown": Session._shutdown,
}
