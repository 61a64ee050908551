"""The methods of the protocol, and one client's use of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from vfxmatte.errors import VfxmatteError
from vfxmatte.reporting.inspection import as_plain, inspect
from vfxmatte.serve import rpc
from vfxmatte.serve.endpoint import PROTOCOL
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.serve.jobs import Job, JobQueue, Steps
from vfxmatte.serve.outbox import Outbox
from vfxmatte.serve.params import Params
from vfxmatte.serve.requests import FrameRequest, PixelsRequest, RunRequest, requested_shot
from vfxmatte.serve.rpc import Request, RpcError
from vfxmatte.version import __version__

log = logging.getLogger("vfxmatte.serve")


class ServerState(Protocol):
    """The parts of the server that a client's requests need."""

    @property
    def queue(self) -> JobQueue: ...
    @property
    def engines(self) -> EngineCache: ...
    @property
    def client_count(self) -> int: ...
    def stop(self) -> None: ...


@dataclass(eq=False, kw_only=True)
class ClientSession:
    """One client, which has shown the token or has started this process."""

    server: ServerState
    """Queue and engines that all clients share."""
    outbox: Outbox
    """Messages to this client."""
    disconnect: Callable[[], None]
    """Called when the client cannot be answered any more."""

    def take(self, body: bytes) -> None:
        """Handle one message; any error becomes an answer."""
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
        """Cancel the jobs of a client that has disconnected."""
        self.server.queue.cancel(self)
        self.outbox.close()

    def refuse(self, error: RpcError) -> None:
        """Report an error that answers no request."""
        self._send(rpc.failure(None, error))

    def _answer(self, request: Request) -> dict[str, Any] | None:
        """Return the answer, or None where it comes later."""
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
            self.disconnect()

    # -- methods with an immediate answer ---------------------------------------------------------

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
        shot = requested_shot(params)
        params.end()
        return as_plain(inspect(shot))

    def _devices(self, params: Params, _: Request) -> dict[str, Any]:
        params.end()
        from vfxmatte.serve.hardware import devices

        return {"devices": devices()}

    def _cancel(self, params: Params, _: Request) -> dict[str, Any]:
        ident = params.ident("job")
        params.end()
        return {"cancelled": self.server.queue.cancel(self, ident)}

    def _status(self, params: Params, _: Request) -> dict[str, Any]:
        params.end()
        devices = self.server.engines.devices
        return {
            "version": __version__,
            "pid": os.getpid(),
            "device": devices[0] if devices else None,
            "clients": self.server.client_count,
            "jobs": [self._job_values(job) for job in self.server.queue.jobs()],
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
        self.server.stop()

    # -- methods that are jobs --------------------------------------------------------------------

    def _run(self, params: Params, request: Request) -> None:
        run = RunRequest.from_params(params)
        from vfxmatte.serve.work import run_steps

        self._put(
            request,
            partial(run_steps, run, self.server.engines),
            shot=run.shot.name,
            urgent=run.is_short,
            output=str(run.shot.output),
        )

    def _matte(self, params: Params, request: Request) -> None:
        frame = FrameRequest.from_params(params)
        from vfxmatte.serve.work import frame_steps

        steps = partial(frame_steps, frame, self.server.engines)
        self._put(request, steps, shot=frame.plate.name, urgent=True)

    def _pixels(self, params: Params, request: Request) -> None:
        pixels = PixelsRequest.from_params(params)
        from vfxmatte.serve.work import pixels_steps

        self._put(request, partial(pixels_steps, pixels, self.server.engines), urgent=True)

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
        self.server.queue.put(job)

    def _event(self, ident: rpc.Ident, event: str, **values: Any) -> None:
        params = {"job": ident, "event": event, **values}
        self.outbox.put_event(rpc.notification("event", params))

    def _done(self, ident: rpc.Ident, outcome: Mapping[str, Any] | RpcError) -> None:
        if isinstance(outcome, RpcError):
            self._send(rpc.failure(ident, outcome))
        else:
            dropped = {"dropped_events": self.outbox.dropped} if self.outbox.dropped else {}
            self._send(rpc.result(ident, {**outcome, **dropped}))


_Method = Callable[[ClientSession, Params, Request], dict[str, Any] | None]
_METHODS: dict[str, _Method] = {
    "hello": ClientSession._hello,
    "open": ClientSession._open,
    "run": ClientSession._run,
    "matte": ClientSession._matte,
    "pixels": ClientSession._pixels,
    "cancel": ClientSession._cancel,
    "devices": ClientSession._devices,
    "status": ClientSession._status,
    "shutdown": ClientSession._shutdown,
}
