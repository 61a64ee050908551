"""What the artist is told when something is not right: what, and what to do about it."""

from __future__ import annotations


class Problem(Exception):
    """A sentence for the node's panel, and a hint that says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return self.what + ("\n" + self.hint if self.hint else "")


class Cancelled(Exception):
    """The artist pressed Cancel, or the node is gone."""
