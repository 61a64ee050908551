"""Gestures of a person: for each bone its angles at a few times; NumPy only."""

from __future__ import annotations

from training.render.gait import SIDES
from training.render.shader_tree import Vec3

Keys = dict[str, tuple[tuple[float, Vec3], ...]]
"""For each bone its times in frames, increasing, and its angles there."""


def crossing(first: float, *, late: float, higher: str) -> Keys:
    """Return arms that hang, cross before the body, and open wide.

    Args:
        higher: the side whose forearm crosses above the other, `late` frames after it.
    """
    fold, spread = first + 10.5, first + 22.0
    keys: Keys = {
        "chest": (
            (first, (0.0, 0.0, 0.1)),
            (fold, (0.08, 0.0, -0.12)),
            (spread, (-0.05, 0.0, 0.25)),
        )
    }
    for name, s in SIDES.items():
        up = 1.0 if name == higher else 0.0
        wait = late * up
        keys[f"arm.{name}"] = (
            (first + wait, (0.05, 0.16 * s, 0.0)),
            (fold + wait, (-0.12 - 0.35 * up, 0.05 * s, -1.35 * s)),
            (spread + wait, (-0.35, (-0.5 - 0.75 * up) * s, -0.2 * s)),
        )
        keys[f"forearm.{name}"] = (
            (first + wait, (-0.25, 0.1 * s, 0.0)),
            (fold + wait, (-1.45 - 0.3 * up, 0.0, 0.0)),
            (spread + wait, (-0.5 - 0.6 * up, 0.0, 0.0)),
        )
        keys[f"hand.{name}"] = ((first, (-0.1, 0.0, 0.0)), (spread, (0.25, 0.3 * s, 0.0)))
    return keys


def toss(first: float, last: float, *, side: float, bent: float) -> Keys:
    """Return a body that is bent by `bent` radians a bone, and is thrown up to one side."""
    keys: Keys = {
        name: (
            (first, (share * bent, 0.0, -0.25 * side)),
            (last, (-0.16 * share, 0.0, 0.3 * side)),
            (last + 6, (0.0, 0.0, 0.15 * side)),
        )
        for name, share in (("spine", 1.0), ("chest", 1.4))
    }
    for name, s in SIDES.items():
        out = -0.55 if s == side else -0.1
        keys[f"arm.{name}"] = (
            (first, (-0.1, 0.12 * s, 0.0)),
            (last, (-0.2, out * s, 0.0)),
        )
        keys[f"forearm.{name}"] = ((first, (-0.4, 0.0, 0.0)), (last, (-0.9, 0.0, 0.0)))
    return keys


def pointing(first: float, last: float, *, side: float) -> Keys:
    """Return a chest that turns to one side while the arm there points; the other arm bends."""
    keys: Keys = {"chest": ((first, (0.0, 0.0, -0.22 * side)), (last + 2, (0.0, 0.0, 0.25 * side)))}
    for name, s in SIDES.items():
        points = s == side
        keys[f"arm.{name}"] = (
            (first, (0.0, 0.14 * s, -0.2 * s)),
            (last, (-0.75, -0.6 * s, 0.0) if points else (0.15, 0.05 * s, -0.5 * s)),
        )
        keys[f"forearm.{name}"] = (
            (first, (-0.5, 0.0, 0.0)),
            (last, (-0.55 if points else -1.3, 0.0, 0.0)),
        )
    return keys
