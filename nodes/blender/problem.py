"""Errors that the artist can fix, and conversion of system errors into them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Problem(Exception):
    """An error that the artist can fix.

    Args:
        what: one sentence that says what is wrong, and where.
        hint: what to do about it.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}. {self.hint}" if self.hint else self.what


@contextlib.contextmanager
def problems() -> Iterator[None]:
    """Turn errors of the system and of Blender's own calls into a Problem."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Problem(
            f"{where}{error.strerror or error}", "Is the disk there, with room and your rights?"
        ) from error
    except RuntimeError as error:  # how Blender's own calls fail
        raise Problem(f"Blender says: {str(error).strip()}") from error
