"""Settings of training on photographs with mattes."""

from __future__ import annotations

from dataclasses import dataclass

from training.elements.split import DEFAULT_SEED
from vfxmatte.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class MattedConfig:
    """The use of a library's pictures."""

    images: str = "images"
    """Name of the folder of pictures inside the library."""
    mattes: str = "mattes"
    """Name of the folder of mattes inside the library."""
    width_px: int = 600
    """Width that every picture is resized to, rounded to a multiple of 32."""
    height_px: int = 800
    """Height that every picture is resized to, rounded to a multiple of 32."""
    augmented: float = 0.5
    """Share of the samples that are flipped or rotated, half of them each."""
    rotate_degrees: float = 15.0
    """Largest rotation."""
    held_out: float = 0.2
    """Share of the pictures that is held out, if the library has no held_out.txt."""
    split_seed: int = DEFAULT_SEED
    """Seed of that draw."""

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
        """Height and width of the network's input."""
        return _rounded(self.height_px), _rounded(self.width_px)


def _rounded(px: int) -> int:
    return max(32, 32 * round(px / 32))
