"""What makes batches of training samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from training.samples.compose import Batch


class BatchMaker(Protocol):
    """Makes batches on a device; the same seed gives the same batch."""

    def batch(
        self, count: int, seed: int, *, chosen: Sequence[tuple[int, int]] | None = None
    ) -> Batch:
        """`count` samples; chosen: numbers of the foreground and the background of each."""
        ...
