"""Files that are whole or not there: what goes wrong is named for what it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vfxmatte.errors import OutputError
from vfxmatte.io.temporary import renamed_when_whole


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EACCES, "may you write in this folder"),
        (errno.EROFS, "read-only"),
        (errno.EISDIR, "a folder of this name"),
        (errno.EINVAL, "is the disk full"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_with_what_to_do(
    tmp_path: Path, number: int, hint: str
) -> None:
    path = tmp_path / "matte.exr"
    path.write_bytes(b"before")
    with (
        pytest.raises(OutputError, match="cannot write") as caught,
        renamed_when_whole(path) as new,
    ):
        new.write_bytes(b"half")
        raise OSError(number, os.strerror(number), str(new))
    assert caught.value.path == str(path) and hint in str(caught.value.hint)
    assert path.read_bytes() == b"before" and entries(tmp_path) == ["matte.exr"]


def test_a_file_that_is_read_meanwhile_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    """As when a movie is written of plates that are read one by one."""
    with pytest.raises(FileNotFoundError), renamed_when_whole(tmp_path / "movie.mov") as new:
        new.write_bytes(b"half")
        (tmp_path / "plate" / "plate.1003.exr").read_bytes()
    assert entries(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, ValueError])
def test_what_is_no_error_of_the_disk_stays_what_it_is(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), renamed_when_whole(tmp_path / "matte.exr") as new:
        new.write_bytes(b"half")
        raise error
    assert entries(tmp_path) == []
