"""The file through which a running server is found, and a connection to that server."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from typing import TYPE_CHECKING

from .channel import Channel
from .errors import ClientError, ConnectionLost, log
from .paths import endpoint_file

if TYPE_CHECKING:
    from .errors import Record

PROTOCOL = 1
_FILE_BYTES = 64 << 10  # far more than a port and a token
_CONNECT_SECONDS, _HELLO_SECONDS = 5, 10


def connect() -> Channel | None:
    """Connect to the user's server; None if none is running."""
    endpoint = read_endpoint()
    if endpoint is None:
        return None
    try:
        wire = socket.create_connection(("127.0.0.1", int(endpoint["port"])), _CONNECT_SECONDS)
    except (OSError, OverflowError):
        return None  # a killed server has left the file
    wire.settimeout(None)
    channel = Channel(wire.makefile("rb"), wire.sendall, lambda: _hang_up(wire))
    try:
        hello = {"token": endpoint["token"], "client": os.path.basename(sys.executable or "python")}
        channel.start = channel.begin("hello", hello).result(_HELLO_SECONDS).get("start")
    except (ClientError, ConnectionLost):
        channel.close()
        return None  # another program now has the port
    return channel


def _hang_up(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)
    wire.close()


def read_endpoint() -> Record | None:
    """Return the running server's `port` and `token`; None if the file is missing or exposed."""
    try:
        with open(endpoint_file(), encoding="utf-8") as stream:
            state = os.fstat(stream.fileno())
            endpoint = json.loads(stream.read(_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not _is_private(state):
        log.debug("%s is not this user's alone: it is not used", endpoint_file())
        return None
    if not isinstance(endpoint, dict) or endpoint.get("protocol") != PROTOCOL:
        return None
    port, token = endpoint.get("port"), endpoint.get("token")
    return endpoint if type(port) is int and 0 < port < 65536 and isinstance(token, str) else None


def exposed_endpoint() -> tuple[int, int] | None:
    """Identify the file (inode, time) if other users can read or write it; else None."""
    try:
        state = os.stat(endpoint_file())
    except OSError:
        return None
    return None if _is_private(state) else (state.st_ino, state.st_mtime_ns)


def _is_private(state: os.stat_result) -> bool:
    return os.name != "posix" or (state.st_uid == os.getuid() and not state.st_mode & 0o077)
