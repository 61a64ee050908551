"""The client's errors, its log, and the types that every module names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

log = logging.getLogger("vfxmatte")

if TYPE_CHECKING:  # not at run time: Python 3.7 (Nuke 13) has no dict[...]
    Record = dict[str, Any]
    Command = Union[None, str, Sequence[str]]

_FAILED = 3  # exit code of a run that failed, where the error does not say


class ClientError(Exception):
    """Any failure, worded for the artist's panel; `str()` gives all of it.

    Args:
        what: one sentence.
        kind: the server's own error ("PlateError", "DeviceError", …), or "NotInstalled",
            "CannotServe", "EngineDied", "Cancelled", "TimedOut", "UsageError", "ProtocolError".
        hint: what can be done.
        shot, frame, path: where.
        exit_code: that of the command line.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: str = "ClientError",
        hint: str | None = None,
        shot: str | None = None,
        frame: int | None = None,
        path: str | None = None,
        exit_code: int = _FAILED,
    ) -> None:
        super().__init__(what)
        self.what, self.kind, self.hint = what, kind, hint
        self.shot, self.frame, self.path = shot, frame, path
        self.exit_code = exit_code

    @classmethod
    def of(cls, values: Record) -> ClientError:
        """Make an error from the values of an `error` event, whatever their types."""
        names = ("hint", "shot", "frame", "path")
        code = values.get("exit_code")
        return cls(
            str(values.get("message")),
            kind=str(values.get("kind") or "ClientError"),
            exit_code=code if type(code) is int and code else _FAILED,
            **{name: values.get(name) for name in names},
        )

    def __str__(self) -> str:
        place = (("shot", self.shot), ("frame", self.frame), ("file", self.path))
        listed = ", ".join(f"{name} {value}" for name, value in place if value is not None)
        where = f" [{listed}]" if listed else ""
        return self.what + where + ("\n  " + self.hint if self.hint else "")


class ConnectionLost(Exception):
    """The server has gone."""


def cancelled() -> ClientError:
    """Make the error of a job that was cancelled before it had a result."""
    return ClientError("cancelled", kind="Cancelled", exit_code=130)
