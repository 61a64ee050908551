"""The framing of elements, and the signature of their builders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.render.scene import Stage
from training.render.strands import Generator


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The framing of an element: the centre's height and the visible radius, in metres."""

    height_m: float = 0.0
    radius_m: float = 0.5


Builder = Callable[[Stage, Generator, range], Frame]
"""Fills a stage's foreground for the frames around the rendered moment."""
