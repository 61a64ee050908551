"""What can go wrong in the host, in words for the artist."""

from __future__ import annotations


class Problem(Exception):
    """Something that the artist can put right.

    Args:
        what: one sentence: what is wrong, and where.
        hint: what to do about it.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}. {self.hint}" if self.hint else self.what
