"""Settings of training on photographs with mattes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from training.elements.split import DEFAULT_SEED
from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import TrainingError, VfxmatteError


@dataclass(frozen=True, kw_only=True)
class MattedConfig(Checked):
    """The use of a library's pictures."""

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    images: str = "images"
    """Name of the folder of pictures inside the library."""
    mattes: str = "mattes"
    """Name of the folder of mattes inside the library."""
    width_px: int = limited(600, at_least=32)
    """Width that every picture is resized to, rounded to a multiple of 32."""
    height_px: int = limited(800, at_least=32)
    """Height that every picture is resized to, rounded to a multiple of 32."""
    augmented: float = limited(0.5, at_least=0, at_most=1)
    """Share of the samples that are flipped or rotated, half of them each."""
    rotate_degrees: float = limited(15.0, at_least=0, at_most=180)
    """Largest rotation."""
    held_out: float = limited(0.2, at_least=0, below=1)
    """Share of the pictures that is held out, if the library has no held_out.txt."""
    split_seed: int = limited(DEFAULT_SEED, at_least=0)
    """Seed of that draw."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return _rounded(self.height_px), _rounded(self.width_px)


def _rounded(px: int) -> int:
    return max(32, 32 * round(px / 32))
