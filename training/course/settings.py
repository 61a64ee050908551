"""Settings of training on photographs with mattes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from training.elements.split import DEFAULT_SEED
from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import TrainingError, VfxmatteError


@dataclass(frozen=True, kw_only=True)
class MattedConfig(Checked):
    """Which pictures of a folder are used, and how.

    images, mattes: names of the two folders inside the library.
    width_px, height_px: what every picture is resized to, rounded to multiples of 32.
    augmented: share of the samples that are flipped or turned, one half of them each.
    rotate_degrees: furthest turn.
    held_out: share of the pictures that are tested on, where the library has no held_out.txt.
    split_seed: of that draw.
    """

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    images: str = "images"
    mattes: str = "mattes"
    width_px: int = limited(600, at_least=32)
    height_px: int = limited(800, at_least=32)
    augmented: float = limited(0.5, at_least=0, at_most=1)
    rotate_degrees: float = limited(15.0, at_least=0, at_most=180)
    held_out: float = limited(0.2, at_least=0, below=1)
    split_seed: int = limited(DEFAULT_SEED, at_least=0)

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width that the network sees."""
        return _rounded(self.height_px), _rounded(self.width_px)


def _rounded(px: int) -> int:
    return max(32, 32 * round(px / 32))
