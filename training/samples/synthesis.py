"""Settings of the synthesis: how composites are made from foregrounds and backgrounds.

Each part can be switched off; `SynthesisConfig.paper()` is Deep Image Matting's own pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import TrainingError, VfxmatteError

LARGEST_BAND_PX = 50


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig(Checked):
    """How one training picture is made. Probabilities 0 to 1, angles in degrees.

    crop_px: side of the finished square crop, a multiple of 32.
    zoom: source pixels per crop pixel, drawn log-uniformly between the two.
    background_zoom: the same for backgrounds, which are enlarged where they are too small.
    zoom_choices: both are drawn from these instead, where given (the paper's 320, 480 and 640
        over 320).
    mirror_cut: elements that run out of their picture go on mirrored; else they end there.
    flip: probability of a horizontal flip.
    rotate_degrees, stretch, shear_degrees: random affine on the foreground; stretch is a factor
        per axis, up and down.
    two_foregrounds: probability of a second foreground behind the first,
        alpha = 1 - (1 - a1)(1 - a2).
    linear_light: probability that foreground and background mix in scene-linear light (as a
        lens mixes them) and are then encoded; else they mix display-encoded, as the paper does.
    colour_jitter, exposure_stops, white_balance: saturation factor, exposure in stops and
        per-channel gain, of foreground and background each on its own.
    similar_colours: probability that the background is shifted to the foreground's mean colour.
    background_blur: probability of a defocused background.
    plain_background: probability of a smooth gradient instead of a photograph.
    defocus, motion_blur: probability that foreground and alpha are blurred together.
    light_wrap: probability that blurred background light is added over the foreground's edge.
    grain: largest standard deviation of the noise, in encoded values.
    compression: probability of JPEG-like quantisation.
    band_px: smallest and largest radius of the trimap's erosion, at most 50, drawn for foreground
        and background independently.
    band_wobble: how unevenly the band is drawn, 0 even to 1.
    erode_foreground: also erode the foreground; without it the trimap is dilation only.
    moving_pairs: make the second half of a batch the next frame of the first half.
    """

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    crop_px: int = limited(320, at_least=32)
    zoom: tuple[float, float] = (0.6, 1.7)
    background_zoom: tuple[float, float] = (0.6, 3.0)
    zoom_choices: tuple[float, ...] = ()
    mirror_cut: bool = True
    flip: float = limited(0.5, at_least=0, at_most=1)
    rotate_degrees: float = limited(30.0, at_least=0, at_most=180)
    stretch: float = limited(1.25, at_least=1)
    shear_degrees: float = limited(10.0, at_least=0, below=90)
    two_foregrounds: float = limited(0.4, at_least=0, at_most=1)
    linear_light: float = limited(0.75, at_least=0, at_most=1)
    colour_jitter: float = limited(0.4, at_least=0)
    exposure_stops: float = limited(1.0, at_least=0)
    white_balance: float = limited(0.15, at_least=0, below=1)
    similar_colours: float = limited(0.1, at_least=0, at_most=1)
    background_blur: float = limited(0.4, at_least=0, at_most=1)
    plain_background: float = limited(0.05, at_least=0, at_most=1)
    defocus: float = limited(0.2, at_least=0, at_most=1)
    motion_blur: float = limited(0.15, at_least=0, at_most=1)
    light_wrap: float = limited(0.1, at_least=0, at_most=1)
    grain: float = limited(0.03, at_least=0)
    compression: float = limited(0.25, at_least=0, at_most=1)
    band_px: tuple[int, int] = (1, 29)
    band_wobble: float = limited(0.5, at_least=0, at_most=1)
    erode_foreground: bool = True
    moving_pairs: bool = False

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
        """Every part off: foregrounds and backgrounds as they are, mixed; bands of one width."""
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
        """Deep Image Matting's own: flips, crops of 320, 480 or 640 resized to 320, no more."""
        return replace(
            cls.plain(320, linear_light=False),
            zoom_choices=(1.0, 1.5, 2.0), flip=0.5, band_px=(1, 20),
        )  # fmt: skip
