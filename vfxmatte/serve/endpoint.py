"""The endpoint file: port and token of the running server, readable by its user alone.

The file lies in ~/.vfxmatte/run ($VFXMATTE_HOME replaces ~/.vfxmatte). Its name holds that of the
machine, because machines may share a home. The server holds a lock beside it while it runs: there
is one server, and a file whose lock is free is stale.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from vfxmatte.errors import OutputError, OutputLockedError
from vfxmatte.version import __version__

PROTOCOL = 1
HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The content of the endpoint file."""

    port: int
    """TCP port on `host`."""
    token: str
    """The secret that a client shows first."""
    pid: int
    """Process id of the server."""
    host: str = HOST
    """Always 127.0.0.1."""
    protocol: int = PROTOCOL
    """Version of the protocol."""
    version: str = __version__
    """Version of vfxmatte."""

    @classmethod
    def of_this_process(cls, port: int) -> Endpoint:
        """Create the endpoint of this process, with a new token."""
        return cls(port=port, token=secrets.token_urlsafe(32), pid=os.getpid())


def endpoint_file() -> Path:
    """Path of this machine's endpoint file in ~/.vfxmatte or $VFXMATTE_HOME."""
    home = Path(os.environ.get("VFXMATTE_HOME") or Path.home() / ".vfxmatte")
    machine = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node()) or "localhost"
    return home / "run" / f"serve-{machine}.json"


@contextlib.contextmanager
def sole_server(path: Path) -> Iterator[None]:
    """Hold the lock of the user's only server, and remove a stale endpoint file.

    Raises:
        OutputLockedError: another server is running. OutputError: the folder cannot be used.
    """
    lock = FileLock(path.with_suffix(".lock"))
    try:
        _make_private(path.parent)
        lock.acquire(timeout=0)
        path.unlink(missing_ok=True)
    except Timeout as error:
        raise OutputLockedError(
            "another engine is running for this user on this machine",
            path=path,
            hint="use that one, or stop it: vfxmatte serve --stop",
        ) from error
    except OSError as error:
        raise _unusable(str(error.strerror or error), path.parent) from error
    try:
        yield
    finally:
        lock.release()


def _make_private(folder: Path) -> None:
    """Create a folder for this user alone; the target of a link is checked, not changed.

    Raises OutputError where it is another user's, or where others may write. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name != "posix":
        return
    if not folder.is_symlink():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                with contextlib.suppress(OSError):  # a disk without file modes is refused below
                    os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)
    state = folder.stat()
    if state.st_uid != os.getuid():
        raise _unusable("it belongs to another user", folder)
    if state.st_mode & 0o022:
        raise _unusable("others may write there, and its file modes were not changed", folder)


def _unusable(reason: str, folder: Path) -> OutputError:
    return OutputError(
        f"the engine's folder cannot be used: {reason}",
        path=folder,
        hint="set $VFXMATTE_HOME to a folder of your own, on a disk that knows file modes",
    )


@contextlib.contextmanager
def published(endpoint: Endpoint, path: Path) -> Iterator[None]:
    """Publish the endpoint while the block runs, in a file that only its user can read.

    Raises OutputError where that is impossible: clients would refuse a file that others can read.
    """
    temporary = path.with_name(f".{path.name}.{endpoint.pid}.part")
    try:
        temporary.unlink(missing_ok=True)
        _write_private(temporary, json.dumps(asdict(endpoint)))
        os.replace(temporary, path)
    except OSError as error:
        raise _unusable(str(error.strerror or error), path.parent) from error
    try:
        yield
    finally:
        if read(path) == endpoint:  # not the file of a server that came after this one
            path.unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    """Write a new file that nobody else can read; nothing is written where that is impossible."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        state = os.fstat(descriptor)
        if os.name == "posix" and (state.st_uid != os.getuid() or state.st_mode & 0o077):
            path.unlink()
            raise _unusable(
                "files there cannot be kept from other users (a network share or a FAT disk)",
                path.parent,
            )
        stream.write(text)


def read(path: Path) -> Endpoint | None:
    """Read an endpoint file; None where there is none, or none of this protocol."""
    try:
        endpoint = Endpoint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return endpoint if endpoint.protocol == PROTOCOL and endpoint.host == HOST else None
