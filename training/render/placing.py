"""Where the camera must stand for an element, and what builds an element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.render.scene import Stage
from training.render.strands import Generator


@dataclass(frozen=True, kw_only=True)
class Frame:
    """How the camera must stand: the middle's height and the radius to be seen, in metres."""

    height_m: float = 0.0
    radius_m: float = 0.5


Builder = Callable[[Stage, Generator, range], Frame]
"""Fills a stage's foreground; the range is the frames around the moment that is rendered."""
