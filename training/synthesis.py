"""Settings of the synthesis: how composites are made from foregrounds and backgrounds.

Each part can be switched off; `SynthesisConfig.paper()` is Deep Image Matting's own pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """How one training picture is made. Probabilities 0 to 1, angles in degrees.

    crop_px: side of the finished square crop, a multiple of 32.
    zoom: source pixels per crop pixel, drawn log-uniformly between the two.
    zoom_choices: drawn from these instead, where given (the paper's 320, 480, 640 over 320).
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
    band_px: smallest and largest radius of the trimap's erosion, drawn for foreground and
        background independently.
    band_wobble: how unevenly the band is drawn, 0 even to 1.
    erode_foreground: also erode the foreground; without it the trimap is dilation only.
    moving_pairs: make the second half of a batch the next frame of the first half.
    """

    crop_px: int = 320
    zoom: tuple[float, float] = (0.6, 1.7)
    zoom_choices: tuple[float, ...] = ()
    flip: float = 0.5
    rotate_degrees: float = 30.0
    stretch: float = 1.25
    shear_degrees: float = 10.0
    two_foregrounds: float = 0.4
    linear_light: float = 0.75
    colour_jitter: float = 0.4
    exposure_stops: float = 1.0
    white_balance: float = 0.15
    similar_colours: float = 0.1
    background_blur: float = 0.4
    plain_background: float = 0.05
    defocus: float = 0.2
    motion_blur: float = 0.15
    light_wrap: float = 0.1
    grain: float = 0.03
    compression: float = 0.25
    band_px: tuple[int, int] = (1, 29)
    band_wobble: float = 0.5
    erode_foreground: bool = True
    moving_pairs: bool = False

    @classmethod
    def paper(cls) -> SynthesisConfig:
        """Deep Image Matting's own: flips, crops of 320, 480 or 640 resized to 320, no more."""
        return cls(
            zoom_choices=(1.0, 1.5, 2.0), rotate_degrees=0.0, stretch=1.0, shear_degrees=0.0,
            two_foregrounds=0.0, linear_light=0.0, colour_jitter=0.0, exposure_stops=0.0,
            white_balance=0.0, similar_colours=0.0, background_blur=0.0, plain_background=0.0,
            defocus=0.0, motion_blur=0.0, light_wrap=0.0, grain=0.0, compression=0.0,
            band_px=(1, 20), band_wobble=0.0,
        )  # fmt: skip
