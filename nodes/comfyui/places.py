"""The folders that a workflow may name.

Workflows are passed around and queued by others, so their paths are not trusted. Results go into
ComfyUI's output folder; all else comes from its input, output and temp folders. The
administrator can allow further folders for both on ComfyUI's machine: one a line in `roots.txt`
beside `command.txt`, and in $VFXMATTE_ROOTS. The resolved path is checked, and that one is used.
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
    """Return the administrator's list of folders, one a line; # begins a comment."""
    return os.path.join(os.path.dirname(client.package().settings_file()), _ROOTS_FILE)


def allowed_roots() -> list[str]:
    """Return the absolute paths that the administrator allows; relative ones are left out."""
    lines = os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep)
    try:
        with open(roots_file(), encoding="utf-8-sig") as stream:
            lines += [line for line in stream if not line.lstrip().startswith("#")]
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        host.log.warning("%s cannot be read: %s", roots_file(), error)
    tidy = client.package().tidy_path
    roots = [root for root in map(tidy, lines) if root]
    for root in roots:
        if not os.path.isabs(root):
            host.log.warning("%r is no whole path: it allows nothing", root)
    return [root for root in roots if os.path.isabs(root)]


def input_path(name: str, text: str) -> str:
    """Resolve the path of an input, relative to the input folder; raises RuntimeError."""
    own = host.folders()
    return _resolved(name, text, own.input, [own.input, own.output, own.temp, *allowed_roots()])


def output_path(text: str, plate: str, trimaps: str) -> str:
    """Resolve the output folder, relative to ComfyUI's own; raises RuntimeError.

    An empty text means `vfxmatte/NAME`, a different one for each pair of plate and trimaps.
    """
    text = text or f"vfxmatte/{_name_of(plate, trimaps)}"
    return _resolved(
        "output", text, host.folders().output, [host.folders().output, *allowed_roots()]
    )


def _name_of(plate: str, trimaps: str) -> str:
    """Return a name like `plate-1a2b3c4d`, unique to the two paths."""
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
    # The path as written is checked first: a path elsewhere is never accessed, which could reveal
    # what exists there or contact a file server of the workflow's choice.
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
