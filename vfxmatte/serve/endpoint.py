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
        path.parent.mkdir(parents=True, exist_ok=True)
        os.chmod(path.parent, 0o700)
        lock.acquire(timeout=0)
        path.unlink(missing_ok=True)
    except Timeout as error:
        raise OutputLockedError(
            "another engine is running for this user on this machine",
            path=path,
            hint="use that one, or stop it: vfxmatte serve --stop",
        ) from error
    except OSError as error:
        raise OutputError(
            f"the engine's folder cannot be used: {error.strerror or error}",
            path=path.parent,
            hint="name another one in $VFXMATTE_HOME",
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def published(endpoint: Endpoint, path: Path) -> Iterator[None]:
    """The endpoint in its file, whole from the first moment and readable by its user alone."""
    temporary = path.with_name(f".{path.name}.{endpoint.pid}.part")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as stream:
        json.dump(asdict(endpoint), stream)
    os.replace(temporary, path)
    try:
        yield
    finally:
        if read(path) == endpoint:  # not that of an engine that came after this one
            path.unlink(missing_ok=True)


def read(path: Path) -> Endpoint | None:
    """None where there is no file, or not one of this protocol."""
    try:
        found = Endpoint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.protocol == PROTOCOL and found.host == HOST else None
