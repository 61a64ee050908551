"""Processes of vfxmatte: started apart from the host, and why one did not run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ClientError
from .paths import install_hint, settings_file

CALL_SECONDS = 120.0
"""Longest wait for a command, or for the answer to a short request."""

_HOST_VARIABLES = (  # they would make another Python load the host's libraries
    "PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "PYTHONUSERBASE",
    "__PYVENV_LAUNCHER__",
)  # fmt: skip
_NO_WINDOW, _NEW_PROCESS_GROUP = 0x08000000, 0x00000200  # subprocess has these on Windows only
_NO_PACKAGE = ("No module named vfxmatte", "No module named 'vfxmatte")
_TOO_OLD = ("SyntaxError", "requires a different Python", "StrEnum", "nknown option: -P")


def _options(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return subprocess options: outlives the host, shows no window, no variables of the host."""
    env = {name: text for name, text in os.environ.items() if name not in _HOST_VARIABLES}
    options: dict[str, Any] = {"env": {**env, "PYTHONUTF8": "1", **variables}}
    if os.name == "nt":
        return {**options, "creationflags": _NO_WINDOW | _NEW_PROCESS_GROUP}
    return {**options, "start_new_session": True}


def spawn(
    command: Sequence[str],
    *,
    stdout: Any,
    stderr: Any,
    stdin: Any = subprocess.DEVNULL,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that does not end with the host.

    Args:
        stdin, stdout, stderr: as in subprocess.Popen.
        variables: environment variables to add.

    Raises:
        ClientError: there is no such program.
    """
    options = _options(variables or {})
    try:
        return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, **options)
    except (OSError, ValueError) as error:
        raise start_error(command, str(error), missing=True) from error


def run_command(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a short command and capture its output; raises ClientError if it cannot be run."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=CALL_SECONDS,
            **_options({}),
        )
    except (OSError, ValueError) as error:
        raise start_error(command, str(error), missing=True) from error
    except subprocess.TimeoutExpired as error:
        raise ClientError("vfxmatte does not answer", kind="TimedOut") from error


def kill(child: subprocess.Popen[bytes]) -> None:
    """End a process by force and collect it."""
    child.kill()
    child.wait()


def start_error(command: Sequence[str], output: str, *, missing: bool = False) -> ClientError:
    """Explain why a command did not run, and what to do about it.

    Args:
        command: the command.
        output: what it printed.
        missing: True if there is no such program.
    """
    if any(text in output for text in _NO_PACKAGE):
        return ClientError(
            f"this Python has no vfxmatte: {command[0]}", kind="NotInstalled", hint=install_hint()
        )
    if any(text in output for text in _TOO_OLD):
        return ClientError(
            f"this Python is too old for vfxmatte: {command[0]}",
            kind="NotInstalled",
            hint="vfxmatte needs Python 3.11 or newer; " + install_hint(),
        )
    lines = [line.strip() for line in output.strip().splitlines() if line.strip()]
    errors = [line[len("error: ") :] for line in lines if line.startswith("error: ")]
    last = (errors or lines or ["it said nothing"])[-1]
    text = " ".join(command)
    return ClientError(
        f"vfxmatte cannot be started ({text}): {last}",
        kind="NotInstalled" if missing else "CannotServe",
        hint=f"try `{text} info` in a terminal; where vfxmatte is stands in {settings_file()}",
    )


def command_error(command: Sequence[str], code: int, output: str) -> ClientError:
    """Make the error of a command from its exit code and what it printed on stderr."""
    lines = [line for line in output.strip().splitlines() if line.strip()]
    if lines and lines[0].startswith("error: "):
        rest = "\n".join(line.strip() for line in lines[1:])
        return ClientError(lines[0][len("error: ") :], hint=rest or None, exit_code=code)
    return start_error(command, output)
