"""Which folders a workflow may name.

Workflows are passed around and queued by others, so a path in one is a request and not an order.
Results go into ComfyUI's output folder; plates and trimaps come from its input, output and temp
folders. Further folders for both are the administrator's to allow, on the server: one a line in
`roots.txt` beside `command.txt`, and in $VFXMATTE_ROOTS. What is checked is the resolved path, and
that one is what the engine gets.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

from . import client, host

ROOTS_VARIABLE = "VFXMATTE_ROOTS"
_ROOTS_FILE = "roots.txt"
_DRIVE_OR_SHARE = re.compile(r"[A-Za-z]:|[\\/]{2}")


def roots_file() -> str:
    """The administrator's list of folders, one a line; # begins a comment."""
    return os.path.join(os.path.dirname(client.command_module().settings_file()), _ROOTS_FILE)


def allowed_roots() -> list[str]:
    """Whole paths that the administrator allows; others are left out."""
    lines = os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep)
    try:
        with open(roots_file(), encoding="utf-8-sig") as stream:
            lines += [line for line in stream if not line.lstrip().startswith("#")]
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        host.log.warning("%s cannot be read: %s", roots_file(), error)
    tidy = client.command_module().tidy_path
    roots = [root for root in map(tidy, lines) if root]
    for root in roots:
        if not os.path.isabs(root):
            host.log.warning("%r is no whole path: it allows nothing", root)
    return [root for root in roots if os.path.isabs(root)]


def input_path(name: str, text: str) -> str:
    """A plate's or trimaps' resolved path, relative to the input folder; raises RuntimeError."""
    own = host.folders()
    return _resolved(name, text, own.input, [own.input, own.output, own.temp, *allowed_roots()])


def output_path(text: str, plate: str, trimaps: str) -> str:
    """The resolved output folder, relative to ComfyUI's own; raises RuntimeError.

    An empty text means `vfxmatte/NAME`, another one for each pair of plate and trimaps.
    """
    text = text or f"vfxmatte/{_name_of(plate, trimaps)}"
    return _resolved(
        "output", text, host.folders().output, [host.folders().output, *allowed_roots()]
    )


def _name_of(plate: str, trimaps: str) -> str:
    """`plate-1a2b3c4d`: of a plate like `…/sh010/plate.####.exr` the shot would say no more."""
    stem = re.split(r"[#%@$.]", os.path.basename(plate.rstrip("/\\")))[0]
    digest = hashlib.sha256(os.fsencode(plate + "\0" + trimaps)).hexdigest()[:8]
    return (re.sub(r"[^\w-]", "_", stem) or "plate") + "-" + digest


def _resolved(name: str, text: str, base: str | None, roots: Sequence[str | None]) -> str:
    known = [root for root in roots if root]
    if "\0" in text or (os.name != "nt" and _DRIVE_OR_SHARE.match(text)):
        raise RuntimeError(f"{name}: {text!r} is no path on this server")
    if base is None and not os.path.isabs(text):
        raise RuntimeError(f"{name}: {text!r} must be a whole path")
    path = os.path.normpath(os.path.join(base or os.sep, text))
    # As it is written, first: what lies elsewhere is not even looked at, so nothing is told of it,
    # and no server of somebody's choice is asked.
    if _is_within(path, known) or _is_within(path, [os.path.realpath(root) for root in known]):
        path = os.path.realpath(path)
        if _is_within(path, [os.path.realpath(root) for root in known]):
            return path
    raise RuntimeError(
        f"{name}: {text!r} is outside of the folders that this server allows\n"
        f"allowed: {', '.join(known) or 'none'}. The server's administrator can add folders, one a "
        f"line, to {roots_file()}"
    )


def _is_within(path: str, roots: Sequence[str]) -> bool:
    return any(_contains(os.path.normpath(root), path) for root in roots)


def _contains(root: str, path: str) -> bool:
    root, path = os.path.normcase(root), os.path.normcase(path)
    try:
        return os.path.commonpath([root, path]) == root
    except ValueError:  # another drive
        return False
