"""The client: matting jobs and short questions, by the server or by the command line."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .channel import Channel
from .command_line import run_json, run_shot
from .connection import RESTARTS, Connection
from .errors import ClientError, ConnectionLost, cancelled
from .events import complete_totals, no_totals
from .job import Job
from .locate import find_command
from .parameters import command_options, request_params
from .paths import log_file
from .pixels import Array, PixelFile
from .server import private_server

if TYPE_CHECKING:
    from .errors import Command, Record

    OnEvent = Callable[[Record], Any] | None
    OnDone = Callable[[Job], Any] | None

_STOP_SECONDS = 15.0  # for a server to end after `shutdown`
_LEAVE_SECONDS = 5.0  # for cancelled jobs to end in `close`
_DISPLAY = "sRGB - Texture"  # OpenColorIO name of pixels as a display shows them


class Client:
    """A client of the user's vfxmatte server on this machine. Making one starts nothing.

    Args:
        command: see `find_command`.
        idle_seconds: how long a server that is started here stays without clients and jobs.
        serve: False always uses the command line.

    The calls' **options are the table in `parameters`, and `settings`: any of `vfxmatte run --set`
    by its dotted name. `on_event` gets the events of `vfxmatte run --json`, `on_done` the job,
    once, last. The `start_*` calls return at once and raise nothing but TypeError.
    """

    def __init__(
        self, command: Command = None, *, idle_seconds: float | None = None, serve: bool = True
    ) -> None:
        self._command, self._serve = command, serve
        self._connection = Connection(command, idle_seconds, serve)
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()
        self._count = 0
        self._closed = False

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, **options: Any) -> Record:
        """Call `start_run` and wait; returns the run's totals. Raises ClientError."""
        return dict(self.start_run(**options).result())

    def start_run(self, *, on_event: OnEvent = None, on_done: OnDone = None, **options: Any) -> Job:
        """Matte a shot, or frames of it; finished frames are kept unless `overwrite`.

        Give a shot folder; or a plate, trimaps and an output folder, which also override the
        shot's. A single frame may go before other clients' long runs.
        """
        params = request_params("run", options)
        return self._begin("run", lambda job: self._run(job, params), on_event, on_done)

    def matte_frame(self, **options: Any) -> Record:
        """Call `start_matte_frame` and wait.

        Returns:
            path, device and elapsed_ms.

        Raises:
            ClientError: the frame has no matte.
        """
        return dict(self.start_matte_frame(**options).result())

    def start_matte_frame(
        self,
        *,
        plate: str,
        trimap: str,
        output: str,
        on_event: OnEvent = None,
        on_done: OnDone = None,
        **options: Any,
    ) -> Job:
        """Matte one plate file with its own trimap file into the file `output` (.exr, .png, .tif).

        A file that exists is refused, unless `overwrite`.
        """
        files = {"plate": plate, "trimap": trimap, "output": output}
        params = request_params("matte", {**options, **files})
        return self._begin(
            "matte", lambda job: self._request(job, "matte", params), on_event, on_done
        )

    def matte_pixels(self, **options: Any) -> bytes:
        """Call `start_matte_pixels` and wait; returns the alpha. Raises ClientError."""
        return bytes(self.start_matte_pixels(**options).result())

    def start_matte_pixels(
        self,
        *,
        image: Any,
        trimap: Any,
        width: int,
        height: int,
        image_type: str = "float32",
        trimap_type: str = "float32",
        garbage: Any = None,
        core: Any = None,
        limits_type: str = "float32",
        on_event: OnEvent = None,
        on_done: OnDone = None,
        **options: Any,
    ) -> Job:
        """Matte arrays; the job's result is bytes: (H, W) native float32.

        Args:
            image: (H, W, 3), top row first, any object with the buffer protocol; in `colorspace`,
                sRGB - Texture if not given.
            trimap: (H, W), likewise.
            width, height: in pixels.
            garbage, core: (H, W) mattes, likewise, or None: alpha is 0 outside of the one and 1
                inside the other.
            image_type, trimap_type: float32, float16, uint8 or uint16.
            limits_type: that of garbage and core.
            on_event, on_done: see the class.
            options: see the class.
        """
        params = request_params("pixels", {"colorspace": _DISPLAY, **options})
        image = Array(image, image_type, (height, width, 3))
        trimap = Array(trimap, trimap_type, (height, width))
        limits = {
            name: Array(values, limits_type, (height, width))
            for name, values in (("garbage", garbage), ("core", core))
            if values is not None
        }
        return self._begin(
            "pixels",
            lambda job: self._pixels(job, params, image=image, trimap=trimap, **limits),
            on_event,
            on_done,
        )

    def check(self, **options: Any) -> Record:
        """Return the object of `vfxmatte check --json` for a shot; raises ClientError."""
        params = request_params("open", options)
        answer = self._connection.request("open", params)
        return answer if answer is not None else self._print(["check", *command_options(params)])

    def status(self, *, start: bool = False) -> Record:
        """Return whether a server is running, and its version, pid, device, clients, jobs and log.

        Args:
            start: start one if there is none; raises ClientError where that is impossible.
        """
        nothing = dict.fromkeys(("version", "pid", "device"))
        status: Record = {**nothing, "serving": False, "clients": 0, "jobs": [], "log": log_file()}
        connection = self._connection
        with contextlib.suppress(ConnectionLost):
            channel = connection.open() if start else connection.existing(wait=False)
            if channel is not None:
                status.update(channel.request("status"), serving=True)
        return status

    def devices(self) -> list[Record]:
        """Return each device and its name, best first; the first call takes seconds."""
        answer = self._connection.request("devices", {})
        if answer is not None:
            return list(answer["devices"])
        listed = self._print(["info"])["devices"]
        devices = [{"device": one["name"], "name": one["description"]} for one in listed]
        return sorted(devices, key=lambda one: one["device"] == "cpu")

    def shutdown(self) -> bool:
        """End the server, for all clients; returns False if none runs."""
        channel = self._connection.existing()
        if channel is None:
            return False
        with contextlib.suppress(ConnectionLost, ClientError):
            channel.request("shutdown")
            channel.gone.wait(_STOP_SECONDS)
        channel.close()
        return True

    def close(self) -> None:
        """Cancel this client's jobs, wait a moment for their end, and leave the server."""
        with self._lock:
            self._closed = True
            jobs, channel = list(self._jobs), self._connection.channel
        for job in jobs:
            job.cancel()
        until = time.monotonic() + _LEAVE_SECONDS
        for job in jobs:
            job.wait(max(0.0, until - time.monotonic()))
        if channel is not None:
            channel.close()

    def _begin(
        self, kind: str, work: Callable[[Job], Any], on_event: OnEvent, on_done: OnDone
    ) -> Job:
        """Execute work as a job on a thread of its own."""
        with self._lock:
            self._count += 1
            job = Job(f"{kind}-{self._count}", on_event, on_done)
            self._jobs.add(job)

        def execute() -> None:
            job.execute(work)
            with self._lock:
                self._jobs.discard(job)

        threading.Thread(target=execute, name="vfxmatte-" + job.id, daemon=True).start()
        return job

    def _run(self, job: Job, params: Record) -> Record:
        try:
            return complete_totals(self._request(job, "run", params, private=False))
        except ClientError as error:
            if error.kind == "Cancelled":
                return no_totals()
            if error.kind != "CannotServe":
                raise
            if self._serve:
                job.note(f"the engine cannot serve ({error.what}): done by the command line")
        return complete_totals(run_shot(find_command(self._command), job, params))

    def _pixels(self, job: Job, params: Record, **arrays: Array) -> bytes:
        with PixelFile(**arrays) as pixels:
            self._request(job, "pixels", {**params, **pixels.params()})
            return pixels.alpha()

    def _request(self, job: Job, method: str, params: Record, *, private: bool = True) -> Record:
        """Execute a job on the server; one that dies is started again.

        Args:
            job, method, params: the job and its request.
            private: start a server for this job alone where the shared one cannot serve.

        Raises:
            ClientError: "CannotServe" where there is no server and not `private`.
        """
        for attempt in range(RESTARTS + 1):
            if job.cancelled:
                raise cancelled()
            channel = self._channel(private)
            try:
                return job.follow(channel, channel.begin(method, params))
            except ConnectionLost:
                if job.cancelled or self._closed:
                    raise cancelled() from None
                if attempt < RESTARTS:
                    job.note("the engine has died: it is started again")
            finally:
                job.stop_with(None)
                if channel is not self._connection.channel:
                    channel.close()
        raise ClientError(
            f"the engine died {RESTARTS + 1} times in this job",
            kind="EngineDied",
            path=log_file(),
            hint="the file says why, at its end; is there too little memory?",
        )

    def _channel(self, private: bool) -> Channel:
        try:
            return self._connection.open()
        except ClientError as error:
            if error.kind != "CannotServe" or not private:
                raise
            return private_server(find_command(self._command))

    def _print(self, arguments: list[str]) -> Record:
        return run_json(find_command(self._command), arguments)


@functools.lru_cache(maxsize=None)  # noqa: UP033 - the Python 3.7 of Nuke 13 has no cache
def shared_client() -> Client:
    """Return this process's client, made on the first call.

    Which program it uses is set on the machine (`find_command`), never by a script or workflow:
    those are passed around.
    """
    return Client()
