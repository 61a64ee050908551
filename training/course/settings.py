"""Settings of training on photographs with mattes."""

from __future__ import annotations

from dataclasses import dataclass

from training.elements.split import DEFAULT_SEED
from vfxmatte.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class MattedConfig:
    """Which pictures of a folder are used, and how.

    images, mattes: names of the two folders inside the library.
    width_px, height_px: what every picture is resized to, rounded to multiples of 32.
    augmented: share of the samples that are flipped or turned, one half of them each.
    rotate_degrees: furthest turn.
    held_out: share of the pictures that are tested on, where the library has no held_out.txt.
    split_seed: of that draw.
    """

    images: str = "images"
    mattes: str = "mattes"
    width_px: int = 600
    height_px: int = 800
    augmented: float = 0.5
    rotate_degrees: float = 15.0
    held_out: float = 0.2
    split_seed: int = DEFAULT_SEED

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px) < 32:
            raise TrainingError(
                f"width_px and height_px must be at least 32, found {self.width_px} and "
                f"{self.height_px}"
            )
        if not 0 <= self.augmented <= 1 or not 0 <= self.held_out < 1:
            raise TrainingError("augmented and held_out must be shares between 0 and 1")
        if not 0 <= self.rotate_degrees <= 180:
            raise TrainingError(f"rotate_degrees must be 0 to 180, found {self.rotate_degrees}")

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width that the network sees."""
        return _rounded(self.height_px), _rounded(self.width_px)


def _rounded(px: int) -> int:
    return max(32, 32 * round(px / 32))
