"""A grid of pictures for a person to look at: one sample a row, one tensor a column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor


def save_grid(path: Path, columns: Sequence[Tensor]) -> None:
    """Write a PNG; each column is (N, 1 or 3, H, W) in 0 to 1, encoded RGB."""
    shown = [column.float().clamp(0, 1).expand(-1, 3, -1, -1).cpu() for column in columns]
    rows = torch.cat(shown, 3).permute(0, 2, 3, 1).reshape(-1, sum(c.shape[3] for c in shown), 3)
    picture = np.rint(rows.numpy()[:, :, ::-1] * 255).astype(np.uint8)
    cv2.imwrite(str(path), np.ascontiguousarray(picture))
