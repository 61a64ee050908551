"""The file of an exported model: checked early, and written only if the model is correct."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.overwriting import refuse_existing
from vfxmatte.io.temporary import renamed_when_whole


@contextmanager
def written_when_equal(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary file, renamed to `path` when the block succeeds.

    Raises OutputError if `path` exists and `overwrite` is off, or cannot be written.
    """
    if path.is_dir():
        raise OutputError("this is a folder, not a file", path=path, hint="name a file in it")
    refuse_existing_file(path, overwrite=overwrite)
    with renamed_when_whole(path) as partial:
        partial.touch()  # fail before the work if the folder cannot be written
        yield partial


def check_suffix(path: Path, kind: str, *suffixes: str) -> None:
    """Raise UsageError if a file to write has none of these suffixes.

    Args:
        kind: what the file holds, in the plural, for the message.
    """
    if path.suffix not in suffixes:
        raise UsageError(
            f"{kind} are {' or '.join(suffixes)} files, found {path.name or path}",
            hint=f"-o {path.parent / (path.stem or 'NAME')}{suffixes[0]}",
        )


def refuse_existing_file(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError if the file exists, unless `overwrite`."""
    refuse_existing(
        [path],
        overwrite=overwrite,
        message="the file is there already",
        hint="use --overwrite, or another name",
    )
