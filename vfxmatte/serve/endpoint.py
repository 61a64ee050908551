"""Where a running engine is found: a file with port and token that only its user can read.

The file lies in ~/.vfxmatte/run ($VFXMATTE_HOME instead of ~/.vfxmatte) and has this machine's
name in its own, because homes are shared between machines. A lock beside it is held as long as the
engine lives, so that there is one engine, and a file without its lock is known to be stale.
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
    """What the file says."""

    port: int
    token: str
    pid: int
    host: str = HOST
    protocol: int = PROTOCOL
    version: str = __version__

    @classmethod
    def here(cls, port: int) -> Endpoint:
        """Of this process, with a new token."""
        return cls(port=port, token=secrets.token_urlsafe(32), pid=os.getpid())


def home() -> Path:
    """~/.vfxmatte, or $VFXMATTE_HOME."""
    return Path(os.environ.get("VFXMATTE_HOME") or Path.home() / ".vfxmatte")


def endpoint_file() -> Path:
    machine = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node()) or "localhost"
    return home() / "run" / f"serve-{machine}.json"


@contextlib.contextmanager
def only_engine(path: Path) -> Iterator[None]:
    """Hold the place of the one engine; an endpoint file found there is stale, and goes.

    Raises:
        OutputLockedError: another engine is running. OutputError: the folder cannot be used.
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
    """Make the folder for this user alone; what a link leads to is looked at, and left as it is.

    Raises OutputError where it is another user's, or where others may write. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name != "posix":
        return
    if not folder.is_symlink():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                with contextlib.suppress(OSError):  # no file modes here: found out below
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
    """The endpoint in its file, whole from the first moment and readable by its user alone.

    Raises OutputError where it cannot be: clients would not use a file that others can read.
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
        if read(path) == endpoint:  # not that of an engine that came after this one
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
    """None where there is no file, or not one of this protocol."""
    try:
        found = Endpoint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.protocol == PROTOCOL and found.host == HOST else None
