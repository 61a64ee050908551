"""The protocol of makers of training batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from training.samples.compose import Batch


class BatchMaker(Protocol):
    """A maker of batches on a device; the same seed gives the same batch."""

    def batch(
        self, count: int, seed: int, *, chosen: Sequence[tuple[int, int]] | None = None
    ) -> Batch:
        """Make `count` samples; `chosen` holds numbers of foreground and background of each."""
        ...
