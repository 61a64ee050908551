"""Hair-curves objects in Blender that are refilled for every frame, with their velocity."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.render.scene import FPS, Stage
from training.render.strands import Array


def add_curves(stage: Stage, strands: Array, radii: Array, tints: Array, material: Any) -> Any:
    """Create a hair-curves object: strands (N, P, 3), radii (N, P), linear colours (N, 3)."""
    import bpy

    count, points, _ = strands.shape
    curves = bpy.data.hair_curves.new("hair")
    curves.add_curves([points] * count)
    _fill(curves, "radius", "FLOAT", "POINT", "value", radii)
    opaque = np.concatenate([tints, np.ones((count, 1))], axis=1)
    _fill(curves, "tint", "FLOAT_COLOR", "CURVE", "color", opaque)
    curves.materials.append(material)
    thing = bpy.data.objects.new("hair", curves)
    stage.foreground.objects.link(thing)
    place_curves(thing, strands, np.zeros_like(strands))
    return thing


def place_curves(thing: Any, strands: Array, travel: Array) -> None:
    """Move the strands to (N, P, 3); `travel` is each point's motion in a frame, for blur."""
    _fill(thing.data, "position", "FLOAT_VECTOR", "POINT", "vector", strands)
    _fill(thing.data, "velocity", "FLOAT_VECTOR", "POINT", "vector", travel * FPS)
    thing.data.update_tag()


def _fill(curves: Any, name: str, kind: str, domain: str, key: str, values: Array) -> None:
    attribute = curves.attributes.get(name) or curves.attributes.new(name, kind, domain)
    attribute.data.foreach_set(key, np.ascontiguousarray(values, dtype=np.float32).ravel())
