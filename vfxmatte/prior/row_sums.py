"""Sums of long rows in torch whose order does not depend on the number of threads.

A single long sum is divided among torch's threads, so that its last bits depend on how many there
are; many short ones are not divided. Written for TorchScript.
"""

from __future__ import annotations

import torch
from torch import Tensor


def row_sums(rows: Tensor) -> Tensor:
    """Sum the rows of (n, m).

    Blocks of 512 come first, each summed by one thread, then the blocks' sums, which are too few to
    be divided (up to 16 million terms)."""
    missing = -rows.size(1) % 512
    if missing > 0:
        rows = torch.cat((rows, torch.zeros_like(rows[:, :1]).expand(-1, missing)), 1)
    return rows.view(rows.size(0), -1, 512).sum(2).sum(1)
