"""Settings of the synthesis of composites from foregrounds and backgrounds.

Each part can be switched off; `SynthesisConfig.paper()` is Deep Image Matting's own pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import TrainingError, VfxmatteError

LARGEST_BAND_PX = 50
"""Greatest radius that `bands` can draw."""


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig(Checked):
    """The making of one training picture; probabilities are 0 to 1."""

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    crop_px: int = limited(320, at_least=32)
    """Side of the finished square crop, a multiple of 32."""
    zoom: tuple[float, float] = (0.6, 1.7)
    """Source pixels per crop pixel, drawn log-uniformly between the two."""
    background_zoom: tuple[float, float] = (0.6, 3.0)
    """Zoom of backgrounds, which are enlarged where they are too small."""
    zoom_choices: tuple[float, ...] = ()
    """Values that both zooms are drawn from instead (the paper's 320, 480 and 640 over 320)."""
    mirror_cut: bool = True
    """Extend elements that are cut by their picture's border as in a mirror."""
    flip: float = limited(0.5, at_least=0, at_most=1)
    """Probability of a horizontal flip."""
    rotate_degrees: float = limited(30.0, at_least=0, at_most=180)
    """Largest rotation of the foreground."""
    stretch: float = limited(1.25, at_least=1)
    """Largest factor on each axis of the foreground, up and down."""
    shear_degrees: float = limited(10.0, at_least=0, below=90)
    """Largest shear of the foreground."""
    two_foregrounds: float = limited(0.4, at_least=0, at_most=1)
    """Probability of a second foreground behind the first, alpha = 1 - (1 - a1)(1 - a2)."""
    linear_light: float = limited(0.75, at_least=0, at_most=1)
    """Probability that layers mix in scene-linear light, as in a lens, and are then encoded; else
    they mix display-encoded, as in the paper."""
    colour_jitter: float = limited(0.4, at_least=0)
    """Largest change of saturation, of foreground and background each on its own."""
    exposure_stops: float = limited(1.0, at_least=0)
    """Largest change of exposure, of each on its own."""
    white_balance: float = limited(0.15, at_least=0, below=1)
    """Largest gain of a channel in stops, of each on its own."""
    similar_colours: float = limited(0.1, at_least=0, at_most=1)
    """Probability that the background is shifted to the foreground's mean colour."""
    background_blur: float = limited(0.4, at_least=0, at_most=1)
    """Probability of a defocused background."""
    plain_background: float = limited(0.05, at_least=0, at_most=1)
    """Probability of a smooth gradient instead of a photograph."""
    defocus: float = limited(0.2, at_least=0, at_most=1)
    """Probability that foreground and alpha are defocused together."""
    motion_blur: float = limited(0.15, at_least=0, at_most=1)
    """Probability that foreground and alpha are motion-blurred together."""
    light_wrap: float = limited(0.1, at_least=0, at_most=1)
    """Probability that blurred background light is added over the foreground's edge."""
    grain: float = limited(0.03, at_least=0)
    """Largest standard deviation of the noise, in encoded values."""
    compression: float = limited(0.25, at_least=0, at_most=1)
    """Probability of JPEG-like quantisation."""
    band_px: tuple[int, int] = (1, 29)
    """Least and greatest radius of the trimap's erosion, at most 50, drawn for foreground and
    background independently."""
    band_wobble: float = limited(0.5, at_least=0, at_most=1)
    """How unevenly the band is drawn, 0 even to 1."""
    erode_foreground: bool = True
    """Also erode the foreground; False makes trimaps by dilation only."""
    moving_pairs: bool = False
    """Make the second half of a batch the next frame of the first half."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("zoom", "background_zoom"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise TrainingError(f"{name} must be (smallest, largest), found {(low, high)}")
        if not 0 <= self.band_px[0] <= self.band_px[1] <= LARGEST_BAND_PX:
            raise TrainingError(
                f"band_px must be (smallest, largest) within 0 and {LARGEST_BAND_PX}, "
                f"found {self.band_px}"
            )
        if any(not 0 < zoom < float("inf") for zoom in self.zoom_choices):
            raise TrainingError(f"zoom_choices must be above 0, found {self.zoom_choices}")

    @classmethod
    def plain(cls, crop_px: int, *, linear_light: bool = True) -> SynthesisConfig:
        """Create settings with every part off: layers as they are, mixed; bands of one width."""
        return cls(
            crop_px=crop_px, zoom=(1.0, 1.0), background_zoom=(1.0, 1.0), mirror_cut=False,
            flip=0.0, rotate_degrees=0.0, stretch=1.0, shear_degrees=0.0, two_foregrounds=0.0,
            linear_light=float(linear_light), colour_jitter=0.0, exposure_stops=0.0,
            white_balance=0.0, similar_colours=0.0, background_blur=0.0, plain_background=0.0,
            defocus=0.0, motion_blur=0.0, light_wrap=0.0, grain=0.0, compression=0.0,
            band_px=(10, 10), band_wobble=0.0,
        )  # fmt: skip

    @classmethod
    def paper(cls) -> SynthesisConfig:
        """Create Deep Image Matting's settings: flips, crops of 320, 480 or 640 resized to 320."""
        return replace(
            cls.plain(320, linear_light=False),
            zoom_choices=(1.0, 1.5, 2.0), flip=0.5, band_px=(1, 20),
        )  # fmt: skip
