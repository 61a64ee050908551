"""Where an exported model goes: refused early, written whole, gone again where its check fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vfxmatte.errors import OutputError
from vfxmatte.io.overwriting import refuse_existing
from vfxmatte.io.temporary import renamed_when_whole


@contextmanager
def written_when_equal(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary name to write to and to check; it becomes `path` when the block ends well.

    Raises:
        OutputError: `path` is there already and `overwrite` is off, or nothing can be written.
    """
    if path.is_dir():
        raise OutputError("this is a folder, not a file", path=path, hint="name a file in it")
    refuse_existing(
        [path],
        overwrite=overwrite,
        message="the file is there already",
        hint="use --overwrite, or another name",
    )
    with renamed_when_whole(path) as partial:
        partial.touch()  # an unwritable folder shows now, not after the work
        yield partial
