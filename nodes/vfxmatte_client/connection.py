"""A client's connection to the user's server, made when it is first needed."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING

from .channel import Channel
from .endpoint import connect
from .errors import ClientError, ConnectionLost
from .locate import find_command
from .server import start_server

if TYPE_CHECKING:
    from .errors import Command, Record

RESTARTS = 2
"""Restarts of a server that dies, at most, for one request."""

_RETRY_SECONDS = 60  # until a server that could not serve is tried again


class Connection:
    """The channel to the user's server, shared by all calls of a client.

    Args:
        command: see `find_command`.
        idle_seconds: how long a server started here stays without clients and jobs.
        serve: False never connects.
    """

    def __init__(self, command: Command, idle_seconds: float | None, serve: bool) -> None:
        self._command, self._idle_seconds, self._serve = command, idle_seconds, serve
        self._connecting = threading.Lock()  # held for as long as a server takes to start
        self._refusal: ClientError | None = None
        self._refused_until = 0.0
        self.channel: Channel | None = None
        self.child: subprocess.Popen[bytes] | None = None  # referenced, so that its end is noticed

    def existing(self, *, wait: bool = True) -> Channel | None:
        """Return the channel to a running server, or None.

        Args:
            wait: wait for a server that is just being started here.
        """
        if not self._connecting.acquire(blocking=wait):
            return None
        try:
            if self.channel is None or not self.channel.alive:
                self.channel = connect() if self._serve else None
            return self.channel
        finally:
            self._connecting.release()

    def open(self) -> Channel:
        """Return the channel to the running server, starting one if needed; raises ClientError."""
        if not self._serve:
            raise ClientError("no engine is wanted", kind="CannotServe")
        with self._connecting:
            if self.channel is not None and self.channel.alive:
                return self.channel
            if self._refusal is not None and time.monotonic() < self._refused_until:
                raise self._refusal
            try:
                self.channel = connect() or self._start()
            except ClientError as error:
                if error.kind == "CannotServe":
                    self._refusal = error
                    self._refused_until = time.monotonic() + _RETRY_SECONDS
                raise
            return self.channel

    def request(self, method: str, params: Record) -> Record | None:
        """Return the server's answer; None where none can serve; raises ClientError."""
        for _ in range(RESTARTS + 1):
            try:
                return self.open().request(method, params)
            except ConnectionLost:
                continue
            except ClientError as error:
                if error.kind != "CannotServe":
                    raise
                return None
        return None

    def _start(self) -> Channel:
        channel, self.child = start_server(find_command(self._command), self._idle_seconds)
        return channel
