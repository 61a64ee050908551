"""Settings of the synthesis of composites from foregrounds and backgrounds.

Each part can be switched off; `SynthesisConfig.paper()` is Deep Image Matting's own pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vfxmatte.errors import TrainingError

LARGEST_BAND_PX = 50
"""Greatest radius that `bands` can draw."""

_PROBABILITIES = (
    "flip", "two_foregrounds", "linear_light", "similar_colours", "background_blur",
    "plain_background", "defocus", "motion_blur", "light_wrap", "compression",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """The making of one training picture; probabilities are 0 to 1."""

    crop_px: int = 320
    """Side of the finished square crop, a multiple of 32."""
    zoom: tuple[float, float] = (0.6, 1.7)
    """Source pixels per crop pixel, drawn log-uniformly between the two."""
    background_zoom: tuple[float, float] = (0.6, 3.0)
    """The same for backgrounds, which are enlarged where they are too small."""
    zoom_choices: tuple[float, ...] = ()
    """Values that both zooms are drawn from instead (the paper's 320, 480 and 640 over 320)."""
    mirror_cut: bool = True
    """Extend elements that are cut by their picture's border as in a mirror."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    rotate_degrees: float = 30.0
    """Largest rotation of the foreground."""
    stretch: float = 1.25
    """Largest factor on each axis of the foreground, up and down."""
    shear_degrees: float = 10.0
    """Largest shear of the foreground."""
    two_foregrounds: float = 0.4
    """Probability of a second foreground behind the first, alpha = 1 - (1 - a1)(1 - a2)."""
    linear_light: float = 0.75
    """Probability that layers mix in scene-linear light, as in a lens, and are then encoded; else
    they mix display-encoded, as in the paper."""
    colour_jitter: float = 0.4
    """Largest change of saturation, of foreground and background each on its own."""
    exposure_stops: float = 1.0
    """Largest change of exposure, of each on its own."""
    white_balance: float = 0.15
    """Largest gain of a channel in stops, of each on its own."""
    similar_colours: float = 0.1
    """Probability that the background is shifted to the foreground's mean colour."""
    background_blur: float = 0.4
    """Probability of a defocused background."""
    plain_background: float = 0.05
    """Probability of a smooth gradient instead of a photograph."""
    defocus: float = 0.2
    """Probability that foreground and alpha are defocused together."""
    motion_blur: float = 0.15
    """Probability that foreground and alpha are motion-blurred together."""
    light_wrap: float = 0.1
    """Probability that blurred background light is added over the foreground's edge."""
    grain: float = 0.03
    """Largest standard deviation of the noise, in encoded values."""
    compression: float = 0.25
    """Probability of JPEG-like quantisation."""
    band_px: tuple[int, int] = (1, 29)
    """Least and greatest radius of the trimap's erosion, at most 50, drawn for foreground and
    background independently."""
    band_wobble: float = 0.5
    """How unevenly the band is drawn, 0 even to 1."""
    erode_foreground: bool = True
    """Also erode the foreground; False makes trimaps by dilation only."""
    moving_pairs: bool = False
    """Make the second half of a batch the next frame of the first half."""

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name} must be within 0 and 1, found {getattr(self, name)}")
        for name in ("zoom", "background_zoom"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise TrainingError(f"{name} must be (smallest, largest), found {(low, high)}")
        if not 0 <= self.band_px[0] <= self.band_px[1] <= LARGEST_BAND_PX:
            raise TrainingError(
                f"band_px must be (smallest, largest) within 0 and {LARGEST_BAND_PX}, "
                f"found {self.band_px}"
            )
        if self.stretch < 1 or any(zoom <= 0 for zoom in self.zoom_choices):
            raise TrainingError("stretch must be at least 1, and zoom_choices above 0")

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
