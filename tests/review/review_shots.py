"""Shot folders to review: plates, keyframes, and mattes as a run would have written them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.review.moving_matte import (
    COUNT,
    FIRST,
    HEIGHT,
    KEYFRAMES,
    WIDTH,
    Spoil,
    alpha_at,
    plate_at,
)
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.writers import write_labels
from vfxmatte.trimaps import from_matte
from vfxmatte.types import Trimap, Window

WINDOW = Window.of_size(WIDTH, HEIGHT)


def write_moving_shot(folder: Path, spoiled: Mapping[int, Spoil] | None = None) -> Path:
    """20 frames of 160×120 with exact mattes in matte/, and other ones on the frames named."""
    for index in range(COUNT):
        number = FIRST + index
        plate = folder / "plate" / f"plate.{number}.png"
        plate.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(plate), cv2.cvtColor(plate_at(index), cv2.COLOR_RGB2BGR))
        exact = alpha_at(index)
        alpha = (spoiled or {}).get(number, lambda same: same)(exact).astype(np.float32)
        write_matte_file(folder / "matte", number, {"A": alpha})
        labels = from_matte(exact, erode_px=4, dilate_px=4)
        trimap = Trimap(number=number, labels=labels, is_keyframe=number in KEYFRAMES)
        places = [folder / "matte" / "trimaps", *([folder / "trimaps"] * trimap.is_keyframe)]
        for place in places:
            write_labels(trimap, place / f"trimap.{number}.png", WINDOW)
    return folder


def write_matte_file(
    folder: Path, number: int, channels: Mapping[str, NDArray[np.float32]]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_exr(
        folder / f"matte.{number}.exr",
        {name: values.astype(np.float16) for name, values in channels.items()},
        data_window=WINDOW,
        display_window=WINDOW,
        attributes={},
    )
