"""Starting a server: the user's shared one, or one for a single job."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
import uuid
from typing import IO

from .channel import Channel
from .endpoint import connect, exposed_endpoint
from .errors import ClientError
from .paths import HOME_VARIABLE, endpoint_file, log_file
from .processes import kill, spawn, start_error

START_VARIABLE = "VFXMATTE_START"
"""Environment variable with a unique id that the server reports in its `hello`."""

_START_SECONDS = 90.0  # a cold start from a slow disk
_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.05
_LOG_BYTES = 4 << 20  # a longer log is begun anew


def start_server(
    command: list[str], idle_seconds: float | None
) -> tuple[Channel, subprocess.Popen[bytes]]:
    """Start the user's server, or connect to another one that comes up first.

    Args:
        command: the vfxmatte command.
        idle_seconds: how long the server stays without clients and jobs; None: its default.

    Returns:
        The connection, and the process started here, which has ended if another was first.

    Raises:
        ClientError: it cannot be started ("NotInstalled") or cannot serve ("CannotServe").
    """
    options = [] if idle_seconds is None else ["--idle-seconds", str(idle_seconds)]
    deadline = time.monotonic() + _START_SECONDS
    while True:
        unique_id, stale = uuid.uuid4().hex, exposed_endpoint()
        with _open_log() as stream:
            begin = stream.seek(0, os.SEEK_END)
            variables = {START_VARIABLE: unique_id}
            serve = [*command, "serve", *options]
            child = spawn(serve, stdout=stream, stderr=stream, variables=variables)
            channel = _wait_for(child, deadline, stale)
            if channel is not None:
                if channel.start != unique_id and child.poll() is None:
                    child.terminate()  # another one was first
                    child.wait()
                return channel, child
            stream.seek(begin)
            output = stream.read().decode("utf-8", "replace")
        # one that is about to end is waited for
        if "another engine is running" not in output or time.monotonic() > deadline:
            raise start_error(command, output)


def _wait_for(
    child: subprocess.Popen[bytes], deadline: float, stale: tuple[int, int] | None
) -> Channel | None:
    """Connect to the server that comes up; None if the child has ended without one.

    Args:
        child: the process just started.
        deadline: time.monotonic() at which it is given up.
        stale: the exposed endpoint file that was there before the child.

    Raises:
        ClientError: the child has written a file that others can read, so no wait would help.
    """
    while True:
        channel = connect()
        if channel is not None:
            return channel
        if exposed_endpoint() not in (None, stale):
            kill(child)
            raise ClientError(
                "the file with the engine's token can be read by others, or is another user's",
                kind="CannotServe",
                path=endpoint_file(),
                hint=f"set ${HOME_VARIABLE} to a folder on a disk that knows file modes",
            )
        if child.poll() is not None:
            time.sleep(2 * _POLL_SECONDS)  # another one may just be coming up
            return connect()
        if time.monotonic() > deadline:
            kill(child)
            return None
        time.sleep(_POLL_SECONDS)


def _open_log() -> IO[bytes]:
    """Open the log to append; a temporary file if its folder is unusable."""
    path = log_file()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if os.name == "posix" and os.stat(os.path.dirname(path)).st_uid != os.getuid():
            return tempfile.TemporaryFile()
        if os.path.exists(path) and os.path.getsize(path) > _LOG_BYTES:
            os.truncate(path, 0)
        return open(path, "a+b")
    except OSError:
        return tempfile.TemporaryFile()


def private_server(command: list[str]) -> Channel:
    """Start a server for one job over its standard streams; it needs no network and no folder."""
    child = spawn(
        [*command, "serve", "--stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    source, target = child.stdout, child.stdin
    assert source is not None and target is not None

    def send(data: bytes) -> None:
        target.write(data)
        target.flush()

    def close() -> None:
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            kill(child)
        with contextlib.suppress(OSError):
            target.close()

    return Channel(source, send, close)
