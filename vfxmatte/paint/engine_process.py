"""The child process that solves: `vfxmatte serve --stdio`, kept warm and started again if it dies.

It runs the shot and solves what is visible, one job at a time; a live matte goes before the next
frame of a run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, BinaryIO

from vfxmatte.errors import UnforeseenError, VfxmatteError
from vfxmatte.serve.framing import Decoder, framed
from vfxmatte.serve.rpc import CANCELLED, RpcError

MESSAGE_LIMIT = 64 << 20
_TAIL = 600  # characters of what a dead engine wrote last
_RESTARTS = 2  # for one request

OnEvent = Callable[[Mapping[str, Any]], None]


class EngineLostError(VfxmatteError):
    """The engine's process has ended while it was working."""


class EngineCancelled(Exception):
    """The request was cancelled."""


class EngineProcess:
    """The engine's process, started when it is first needed; thread safe."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        """
        Args:
            say: called with the engine's state and a sentence: "starting"; "ready" with its first
                answer; "lost" when it has died, "failed" when it has died before that.
        """
        self._say = say
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._idents = itertools.count(1)
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the running engine; None if there is none."""
        child = self._child
        return child.process.pid if child is not None and child.alive else None

    def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        begun: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for its answer; a lost engine is restarted and asked again.

        Args:
            on_event: takes the events of a run.
            begun: called with the request's id, for `cancel`.

        Raises:
            VfxmatteError: the engine's error. EngineCancelled: it was cancelled.
        """
        for attempt in range(_RESTARTS + 1):
            ident = next(self._idents)
            try:
                answer = self._running().send(ident, method, params, on_event)
                if begun is not None:
                    begun(ident)
                return answer.result()
            except EngineLostError:
                if attempt == _RESTARTS or self._closed:
                    raise
        raise AssertionError

    def cancel(self, ident: int) -> None:
        """Cancel a request; it ends with EngineCancelled when the frame under way is done."""
        child = self._child
        if child is not None and child.alive:
            with contextlib.suppress(EngineLostError):
                child.send(next(self._idents), "cancel", {"job": ident}, None)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.close()

    def _running(self) -> _Child:
        with self._lock:
            if self._closed:
                raise EngineLostError("the engine is closed")
            if self._child is None or not self._child.alive:
                self._say("starting", "the engine is starting")
                self._child = _Child(self._answered, self._ended)
            return self._child

    def _answered(self) -> None:
        self._say("ready", "the engine is ready")

    def _ended(self, child: _Child, error: EngineLostError) -> None:
        """Say that a process has ended by itself; the next request starts another."""
        if not self._closed:
            state = "lost" if child.has_answered else "failed"
            self._say(state, f"the engine has died: {error.what}")


class _Child:
    """One life of the process."""

    def __init__(
        self, answered: Callable[[], None], ended: Callable[[_Child, EngineLostError], None]
    ) -> None:
        """
        Args:
            answered: called with the first result.
            ended: called when the process has ended, with the reason.
        """
        self._answered, self._ended = answered, ended
        self.has_answered = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the child)
        command = [sys.executable, "-P", "-m", "vfxmatte", "serve", "--stdio"]
        self.process = subprocess.Popen(
            [*command, "--keep-seconds", "86400"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is this process's to handle
        )
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[Future[dict[str, Any]], OnEvent | None]] = {}
        self.alive = True
        threading.Thread(target=self._read, name="vfxmatte-engine", daemon=True).start()

    def send(
        self, ident: int, method: str, params: Mapping[str, Any], on_event: OnEvent | None
    ) -> Future[dict[str, Any]]:
        """Send a request; its future holds the answer. Raises EngineLostError."""
        message = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if not self.alive:
                raise EngineLostError("it has ended")
            self._waiting[ident] = future, on_event
            try:
                stream = self.process.stdin
                _pipe(stream).write(framed(json.dumps(message).encode()))
                _pipe(stream).flush()
            except OSError as error:
                del self._waiting[ident]
                raise EngineLostError(f"it takes no requests: {error}") from error
        return future

    def close(self) -> None:
        with contextlib.suppress(OSError):
            _pipe(self.process.stdin).close()
        try:
            self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read(self) -> None:
        decoder, stream = Decoder(MESSAGE_LIMIT), _pipe(self.process.stdout)
        with contextlib.suppress(OSError, ValueError, RpcError):
            while data := stream.read1(1 << 16):  # type: ignore[attr-defined]
                decoder.feed(data)
                while (body := decoder.message()) is not None:
                    self._take(json.loads(body))
        self.process.kill()
        code = self.process.wait()
        with self._lock:
            self.alive = False
            waiting, self._waiting = self._waiting, {}
        error = EngineLostError(f"its process ended with code {code}{self._last_words()}")
        self._ended(self, error)
        for future, _ in waiting.values():
            future.set_exception(error)

    def _take(self, message: Mapping[str, Any]) -> None:
        if message.get("method") == "event":
            params = message["params"]
            with self._lock:
                _, on_event = self._waiting.get(params["job"], (None, None))
            if on_event is not None:
                on_event(params)
            return
        with self._lock:
            future, _ = self._waiting.pop(message.get("id", 0), (None, None))
        if future is None:
            return
        if "error" in message:
            future.set_exception(_error_of(message["error"]))
        else:
            if not self.has_answered:
                self.has_answered = True
                self._answered()
            future.set_result(message["result"])

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            if lines:
                return f": {lines[-1][-_TAIL:]}"
        return ""


def _pipe(stream: Any) -> BinaryIO:
    """Return a pipe of the child, which has both."""
    if stream is None:
        raise OSError("no pipe")
    return stream  # type: ignore[no-any-return]


def _error_of(error: Mapping[str, Any]) -> Exception:
    """Return the error of an answer as an exception."""
    if error.get("code") == CANCELLED:
        return EngineCancelled()
    data = error.get("data") or {}
    known = {name: data.get(name) for name in ("shot", "frame", "path", "hint")}
    kind = VfxmatteError if data else UnforeseenError
    return kind(str(error.get("message")), **known)
