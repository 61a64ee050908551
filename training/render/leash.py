"""A leash between a hand and a collar: a thin strap that sags and swings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.render import hair, materials
from training.render.scene import Stage
from training.render.strands import Array, Generator

Place = Callable[[float], Array]
"""A point (3,) at a time in frames."""


class Leash:
    """A strap on the stage; `pose(frame)` moves it."""

    def __init__(
        self, stage: Stage, hand: Place, collar: Place, rng: Generator, *, length_m: float = 1.25
    ) -> None:
        self.ends, self.length_m = (hand, collar), length_m
        self.phase = rng.uniform(0, 2 * np.pi)
        colour = rng.uniform(0.02, 0.3, 3)
        strap = self.at(1001.0)[None]
        radii = np.full(strap.shape[:2], 0.0055)
        material = materials.tinted(roughness=0.7)
        self.strap = hair.add_curves(stage, strap, radii, colour[None], material)

    def pose(self, frame: int) -> None:
        travel = self.at(frame + 0.5) - self.at(frame - 0.5)
        hair.place_curves(self.strap, self.at(float(frame))[None], travel[None])

    def at(self, frame: float) -> Array:
        """Return points (P, 3) from the hand to the collar at a time in frames."""
        start, end = (place(frame) for place in self.ends)
        share = np.linspace(0, 1, 24)[:, None]
        strap = start + share * (end - start)
        distance = float(np.linalg.norm(end - start))
        bow = 4 * share * (1 - share)
        strap -= bow * np.array([0, 0, sag(distance, self.length_m)])
        swing = 0.03 * np.sin(0.55 * frame + self.phase + 3 * share)
        strap += bow * swing * np.array([0.3, 1.0, 0.2])
        return strap


def sag(distance_m: float, length_m: float) -> float:
    """Return how deep a strap of a length hangs between ends at a distance, in metres."""
    return float(np.sqrt(3 / 8 * distance_m * max(length_m - distance_m, 0.004)))
