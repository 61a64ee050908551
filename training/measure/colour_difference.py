"""Colour differences as an eye sees them: CIEDE2000 between scene-linear Rec.709 colours."""

from __future__ import annotations

import numpy as np

from vfxmatte.types import FloatImage, Floats

_TO_XYZ = np.array(
    ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175),
     (0.0193339, 0.119192, 0.9503041))
)  # fmt: skip
_WHITE = np.array((0.95047, 1.0, 1.08883))  # D65
_FLOOR = 6 / 29
_C7 = 25.0**7


def lab_of(linear: FloatImage) -> Floats:
    """Convert (..., 3) scene-linear Rec.709, limited to what a display shows, to CIE L*a*b*."""
    displayed = np.clip(np.nan_to_num(linear), 0, 1).astype(np.float64)
    xyz = displayed @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > _FLOOR**3, np.cbrt(xyz), xyz / (3 * _FLOOR**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def ciede2000(first: Floats, second: Floats) -> Floats:
    """Return the difference of colours (..., 3) in L*a*b*; 1 is just noticeable."""
    a_scale = _a_scale(first, second)
    light1, chroma1, hue1 = _polar(first, a_scale)
    light2, chroma2, hue2 = _polar(second, a_scale)
    light, chroma, hue = (light1 + light2) / 2, (chroma1 + chroma2) / 2, _mean_hue(hue1, hue2)
    hue = np.where(chroma1 * chroma2 == 0, hue1 + hue2, hue)
    turn = (hue2 - hue1 + 180) % 360 - 180
    turn = np.where(chroma1 * chroma2 == 0, 0, turn)
    hue_step = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2))
    lightness = (light2 - light1) / (
        1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    )
    saturation = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    tint = hue_step / (1 + 0.015 * chroma * _hue_weight(hue))
    angle = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    rotation = -np.sin(angle) * 2 * np.sqrt(chroma**7 / (chroma**7 + _C7))
    total = lightness**2 + saturation**2 + tint**2 + rotation * saturation * tint
    return np.asarray(np.sqrt(np.maximum(total, 0)))


def _a_scale(first: Floats, second: Floats) -> Floats:
    chroma = (np.hypot(*_ab(first)) + np.hypot(*_ab(second))) / 2
    return np.asarray(1 + 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + _C7))))


def _ab(lab: Floats) -> tuple[Floats, Floats]:
    return lab[..., 1], lab[..., 2]


def _polar(lab: Floats, a_scale: Floats) -> tuple[Floats, Floats, Floats]:
    """Return lightness, chroma, and hue in degrees from 0 to 360."""
    a, b = _ab(lab)
    a = a * a_scale
    return lab[..., 0], np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _mean_hue(first: Floats, second: Floats) -> Floats:
    near = np.abs(first - second) <= 180
    total = first + second
    return np.where(near, total / 2, np.where(total < 360, total / 2 + 180, total / 2 - 180))


def _hue_weight(hue: Floats) -> Floats:
    def wave(factor: int, shift: float) -> Floats:
        return np.asarray(np.cos(np.radians(factor * hue + shift)))

    return np.asarray(
        1 - 0.17 * wave(1, -30) + 0.24 * wave(2, 0) + 0.32 * wave(3, 6) - 0.2 * wave(4, -63)
    )
