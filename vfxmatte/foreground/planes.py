"""Make the planes that a matte's EXR holds beside its alpha: colours, trimap, confidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vfxmatte.colour import ColourConfig
from vfxmatte.foreground.despill import despilled
from vfxmatte.foreground.estimation import LayerColours, estimate_colours
from vfxmatte.io.writers import OutputSettings
from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Frame, Trimap

_DOUBT_PX = 0.01
"""How far from the unknown band doubt reaches, by the picture's width."""

_GREYS = np.zeros(256, np.float32)
_GREYS[[UNKNOWN, FOREGROUND]] = 0.5, 1
"""The value of each label in a trimap's layer."""

Planes = dict[str, FloatImage]
"""Planes (H, W) float32 over the canvas, by the names of their channels."""


@dataclass(frozen=True, kw_only=True)
class PlaneMaker:
    """Makes the planes that settings ask for."""

    settings: OutputSettings
    colours: ColourConfig
    device: str = "cpu"
    """What foreground colours are computed on."""

    def planes(self, frame: Frame, alpha: FloatImage, trimap: Trimap | None) -> Planes:
        """Return the planes of one frame.

        Args:
            frame: the plate.
            alpha: (H, W) float32 over its canvas, as it will be written.
            trimap: needed for layers that are made from it.
        """
        planes: Planes = {}
        if self.settings.needs_colours:
            planes |= self._colour_planes(frame, alpha)
        for layer in self.settings.parsed_layers:
            if layer.kind == "trimap":
                planes[layer.channels[0]] = _GREYS[_needed(trimap).labels]
            elif layer.kind == "confidence":
                planes[layer.channels[0]] = confidence_map(_needed(trimap))
        return planes

    def foreground(self, frame: Frame, alpha: FloatImage) -> tuple[FloatImage, str]:
        """Return the straight foreground (H, W, 3), despilled as set, and its colour space."""
        colours, space = self._estimated(frame, alpha)
        return self._despilled(colours, alpha), space

    def _colour_planes(self, frame: Frame, alpha: FloatImage) -> Planes:
        colours, _ = self._estimated(frame, alpha)
        kinds = {layer.kind for layer in self.settings.parsed_layers}
        front = colours.foreground if "despill" in kinds else self._despilled(colours, alpha)
        planes: Planes = {}
        if self.settings.foreground is not None and "foreground" not in kinds:
            planes |= _split("RGB", self._multiplied(front, alpha))
        for layer in self.settings.parsed_layers:
            if layer.kind == "foreground":
                planes |= _split(layer.channels, self._multiplied(front, alpha))
            elif layer.kind == "despill":
                planes |= _split(layer.channels, self._despilled(colours, alpha))
            elif layer.kind == "background":
                planes |= _split(layer.channels, colours.background)
        return planes

    def _estimated(self, frame: Frame, alpha: FloatImage) -> tuple[LayerColours, str]:
        pixels, space = linear_pixels(frame, self.colours)
        return estimate_colours(pixels, alpha, device=self.device), space

    def _despilled(self, colours: LayerColours, alpha: FloatImage) -> FloatImage:
        amount = self.settings.despill
        return despilled(colours.foreground, colours.background, alpha, amount)

    def _multiplied(self, colour: FloatImage, alpha: FloatImage) -> FloatImage:
        if self.settings.foreground != "premultiplied":
            return colour
        with np.errstate(invalid="ignore"):  # infinity where alpha is 0 is 0
            return np.where(alpha[:, :, None] > 0, colour * alpha[:, :, None], np.float32(0))


def linear_pixels(frame: Frame, colours: ColourConfig) -> tuple[FloatImage, str]:
    """Return a plate in scene-linear light (H, W, 3), and its colour space.

    A linear plate stays as it is; any other is converted to linear Rec.709.
    """
    space = foreground_space(frame.colour_space, colours)
    if space == frame.colour_space:
        return frame.pixels, space
    return colours.to_linear_rec709(frame.pixels, frame.colour_space), space


def foreground_space(plate_space: str, colours: ColourConfig) -> str:
    """Return the colour space of a plate's foreground: the plate's own if that is linear."""
    return plate_space if colours.is_linear(plate_space) else LINEAR_REC709


LINEAR_REC709 = "lin_rec709_scene"
"""Name of the colour space that plates which are not linear are converted to."""


def confidence_map(trimap: Trimap) -> FloatImage:
    """Return how far a trimap is to be trusted, (H, W) float32, 0 to 1.

    A keyframe is certain everywhere. A carried trimap may have its band in a wrong place: its
    confidence counts inside the band, and grows to 1 with the distance from it.
    """
    doubt = np.float32(1 - trimap.confidence)
    known = np.ascontiguousarray(trimap.labels != UNKNOWN, np.uint8)
    if trimap.is_keyframe or doubt == 0 or known.all():
        return np.full(known.shape, 1 - doubt if known.all() else 1, np.float32)
    distance: Any = cv2.distanceTransform(known, cv2.DIST_L2, 5)
    return np.asarray(1 - doubt * np.exp(-distance / max(1.0, _DOUBT_PX * known.shape[1])))


def _split(names: Any, colour: FloatImage) -> Iterator[tuple[str, FloatImage]]:
    return ((name, colour[:, :, index]) for index, name in enumerate(names))


def _needed(trimap: Trimap | None) -> Trimap:
    if trimap is None:
        raise RuntimeError("a layer needs the trimap, which was not kept")
    return trimap
