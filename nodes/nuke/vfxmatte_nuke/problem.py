"""Errors that the artist can fix, and cancelling."""

from __future__ import annotations


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
        return self.what + ("\n" + self.hint if self.hint else "")


class Cancelled(Exception):
    """The artist pressed Cancel, or the node is gone."""
