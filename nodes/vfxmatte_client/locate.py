"""Finding the vfxmatte command on this machine."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from .errors import ClientError
from .paths import home, install_hint, settings_file, tidy_path
from .processes import run_command, start_error

if TYPE_CHECKING:
    from .errors import Command

COMMAND_VARIABLE = "VFXMATTE_COMMAND"


def find_command(explicit: Command = None) -> list[str]:
    """Find the vfxmatte command, as a list of arguments.

    Args:
        explicit: the program, a Python interpreter that has it, the folder of a virtual
            environment, or a whole list. Without it: $VFXMATTE_COMMAND, then `settings_file()`,
            then PATH.

    Raises:
        ClientError: "NotInstalled", with what to do.
    """
    if explicit is not None and not isinstance(explicit, str):
        return list(explicit)
    places: tuple[tuple[str | None, str], ...] = (
        (explicit, "the path given"),
        (os.environ.get(COMMAND_VARIABLE), "$" + COMMAND_VARIABLE),
        (first_line(settings_file()), settings_file()),
    )
    for text, source in places:
        if text and text.strip():
            return parse_command(text.strip(), source)
    program = _on_path("vfxmatte")
    if program:
        return [program]
    raise ClientError(
        "vfxmatte is not installed, or this host does not know where",
        kind="NotInstalled",
        hint=install_hint(),
    )


def remember_command(text: str) -> str:
    """Write where vfxmatte is into `settings_file()` once it has answered; returns its version.

    Takes seconds. Raises ClientError if it does not answer.
    """
    command = find_command(text)
    done = run_command([*command, "--version"])
    if done.returncode != 0:
        raise start_error(command, done.stderr or done.stdout)
    os.makedirs(home(), exist_ok=True)
    with open(settings_file(), "w", encoding="utf-8") as stream:
        stream.write("# where vfxmatte is: program, python, or folder of an environment\n")
        stream.write(text.strip() + "\n")
    return done.stdout.strip().split()[-1]


def parse_command(text: str, source: str) -> list[str]:
    """Return the command that a text from `source` names; raises ClientError if there is none."""
    path = tidy_path(os.path.expandvars(text))
    if os.path.isabs(path) and os.path.isdir(path):
        for name in ("bin/vfxmatte", "Scripts/vfxmatte.exe", ".venv/bin/vfxmatte"):
            inside = os.path.join(path, *name.split("/"))
            if os.path.isfile(inside):
                return [inside]
    program = _program(path)
    if program:
        is_python = os.path.basename(program).lower().startswith("python")
        # -P: the current folder, which may be anybody's, is no place to import from
        return [program, "-P", "-m", "vfxmatte"] if is_python else [program]
    parts = _split(text)
    program = _program(os.path.expanduser(parts[0])) if len(parts) > 1 else None
    if program:
        return [program, *parts[1:]]
    raise ClientError(
        f"there is no vfxmatte at {text!r}, which {source} names",
        kind="NotInstalled",
        hint="correct it (a whole path, or a name on the PATH), or " + install_hint(),
    )


def first_line(path: str) -> str | None:
    """Return the first line that is neither empty nor a comment, or None."""
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line.strip() for line in stream]
    except (OSError, UnicodeDecodeError):
        return None
    return next((line for line in lines if line and not line.startswith("#")), None)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text, posix=os.name != "nt")
    except ValueError:  # a quote without its other half
        return []


def _program(path: str) -> str | None:
    """Return a file given by its absolute path, or a bare name on the PATH; else None."""
    if os.path.isabs(path):
        return path if os.path.isfile(path) else None
    return None if os.path.dirname(path) or not path else _on_path(path)


def _on_path(name: str) -> str | None:
    """Find a program on the PATH, never in the current folder, unlike `shutil.which`."""
    endings = ("", ".exe", ".bat", ".cmd") if os.name == "nt" else ("",)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for ending in endings:
            path = os.path.join(folder, name + ending)
            if os.path.isabs(folder) and os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    return None
