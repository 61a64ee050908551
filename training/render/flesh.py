"""Flesh, clothes and fur on a skeleton: soft meshes and strands that follow its bones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from training.render import hair, meshes, strands
from training.render.meshes import Blob
from training.render.scene import FPS, Stage
from training.render.shader_tree import Vec3
from training.render.skeleton import Actor, follow
from training.render.strands import Array

Tint = Callable[[Array], Array]
"""Linear colours (N, 3) at points (N, 3) of the rest pose."""


def tube(points: Sequence[Vec3], radii: Sequence[float]) -> list[Blob]:
    """Return balls in a row through points; radii in metres change evenly between them."""
    balls: list[Blob] = []
    path = np.array(points, dtype=float)
    for index in range(len(path) - 1):
        length = float(np.linalg.norm(path[index + 1] - path[index]))
        steps = max(2, int(np.ceil(length / (0.45 * min(radii[index : index + 2])))))
        for share in np.linspace(0, 1, steps):
            x, y, z = path[index] * (1 - share) + path[index + 1] * share
            radius = radii[index] * (1 - share) + radii[index + 1] * share
            balls.append(Blob((float(x), float(y), float(z)), (radius,) * 3))
    return balls


class Flesh:
    """A mesh of the rest pose that follows an actor's bones."""

    def __init__(
        self, stage: Stage, actor: Actor, thing: Any, tint: Tint, *,
        bones: Sequence[str] = (), folds_m: float = 0.0,
    ) -> None:  # fmt: skip
        """Put a mesh object on the stage.

        Args:
            bones: kinds of bones that move it; none: all.
            folds_m: depth of the folds that are pressed into it, as into cloth.
        """
        self.actor, self.thing = actor, stage.put(thing)
        vertices, normals, _ = meshes.surface_arrays(thing)
        self.rest = vertices + normals * (folds_m * _folds(vertices))[:, None]
        self.weights = actor.skeleton.weights(self.rest, bones)
        meshes.fill_attribute(thing, "rest", self.rest)
        meshes.fill_attribute(thing, "tint", np.clip(tint(self.rest), 0.002, 0.95), colour=True)

    def pose(self, frame: int) -> None:
        """Move the mesh to its place on a frame, with its velocity."""
        before, now, after = (
            follow(self.rest, self.weights, self.actor.matrices(frame + d)) for d in (-0.5, 0, 0.5)
        )
        meshes.place_vertices(self.thing, now, after - before, FPS)


def _folds(points: Array) -> Array:
    x, y, z = 34 * points.T
    slanted = np.sin(1.9 * z + 0.9 * x + 1.7 * np.sin(0.7 * y + 0.4 * z))
    folds: Array = slanted * np.sin(0.8 * x - 0.5 * z + 2.0) + 0.4 * np.sin(3.1 * z - 2.2 * y)
    return folds


class Fur:
    """Strands that grow on flesh and follow its bones, tips late."""

    def __init__(
        self,
        stage: Stage,
        actor: Actor,
        grown: Array,
        tints: Array,
        material: Any,
        *,
        radius_m: float,
        lag: float = 1.2,
    ) -> None:
        """Put strands (N, P, 3) of the rest pose on the stage; tips are `lag` frames late."""
        self.actor, self.rest, self.lag = actor, grown, lag
        self.weights = actor.skeleton.weights(grown[:, 0])
        radii = strands.taper(grown, radius_m, 0.2 * radius_m)
        self.fur = hair.add_curves(stage, grown, radii, np.clip(tints, 0.002, 0.95), material)

    def pose(self, frame: int) -> None:
        """Move the strands to their place on a frame, with their velocity."""
        before, now, after = (self._at(frame + d) for d in (-0.5, 0.0, 0.5))
        hair.place_curves(self.fur, now, after - before)

    def _at(self, frame: float) -> Array:
        late = self.lag * np.linspace(0, 1, self.rest.shape[1]) ** 1.5
        points = [
            follow(self.rest[:, i], self.weights, self.actor.matrices(frame, late=float(lag)))
            for i, lag in enumerate(late)
        ]
        return np.stack(points, axis=1)
