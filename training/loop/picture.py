"""A grid of pictures to look at: one sample a row, one tensor a column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor


def save_grid(path: Path, columns: Sequence[Tensor]) -> None:
    """Write a PNG; each column is (N, 1 or 3, H, W) in 0 to 1, encoded RGB."""
    planes = [column.float().clamp(0, 1).expand(-1, 3, -1, -1).cpu() for column in columns]
    rows = torch.cat(planes, 3).permute(0, 2, 3, 1).flatten(0, 1)
    picture = np.rint(rows.numpy()[:, :, ::-1] * 255).astype(np.uint8)
    cv2.imwrite(str(path), np.ascontiguousarray(picture))
