"""The articulated shots: people and a dog whose limbs move, each with its sets and its camera.

Seed 0 of each is for judging: nothing is trained on it. Other seeds are for training.
"""

from __future__ import annotations

from training.render import articulated
from training.render.plans import CameraMove, ShotPlan

ARTICULATED = (
    ShotPlan(
        name="walk",
        subject=articulated.walk,
        place="street",
        other_places=("park",),
        articulated=True,
        camera=CameraMove(
            start=(-0.62, -4.9, -0.7), end=(0.62, -4.9, -0.75), look_start=(-0.55, 0, -0.62),
            look_end=(0.55, 0, -0.62), lens_mm=48, fstop=2.8, steady=True,
        ),
    ),
    ShotPlan(
        name="crossed_arms",
        subject=articulated.crossed_arms,
        place="valley",
        other_places=("street", "forest", "park"),
        articulated=True,
        camera=CameraMove(
            start=(0.0, -2.75, -0.2), end=(0.0, -2.75, -0.2), look_start=(0, 0, -0.3),
            look_end=(0, 0, -0.3), lens_mm=50, fstop=2.8, shake_m=0.0,
        ),
    ),
    ShotPlan(
        name="hair_toss",
        subject=articulated.hair_toss,
        place="street",
        other_places=("valley", "forest"),
        articulated=True,
        camera=CameraMove(
            start=(-0.2, -2.75, -0.05), end=(0.15, -2.6, -0.1), look_start=(0.0, 0, -0.2),
            look_end=(0.06, 0, -0.17), lens_mm=56, fstop=2.0,
        ),
    ),
    ShotPlan(
        name="own_colours",
        subject=articulated.own_colours,
        place="forest",
        articulated=True,
        camera=CameraMove(
            start=(-0.3, -2.6, -0.12), end=(0.25, -2.45, -0.2), look_start=(0, 0, -0.26),
            look_end=(0.04, 0, -0.26), lens_mm=50, fstop=4.0,
        ),
    ),
    ShotPlan(
        name="running_dog",
        subject=articulated.running_dog,
        place="park",
        other_places=("street",),
        articulated=True,
        camera=CameraMove(
            start=(-1.7, -3.3, -0.85), end=(1.7, -3.3, -0.85), look_start=(-2.05, 0, -0.98),
            look_end=(2.15, 0, -0.98), lens_mm=48, fstop=3.5, shake_m=0.006, steady=True,
        ),
    ),
    ShotPlan(
        name="leash",
        subject=articulated.leash,
        place="park",
        other_places=("street",),
        articulated=True,
        camera=CameraMove(
            start=(-0.15, -5.1, -0.6), end=(-0.15, -5.1, -0.6), look_start=(-0.15, 0, -0.66),
            look_end=(-0.15, 0, -0.66), lens_mm=46, fstop=4.0, shake_m=0.0,
        ),
    ),
)  # fmt: skip
