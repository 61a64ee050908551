"""A small library made of drawings: soft discs, hairy tufts, and backgrounds with some texture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from training.elements.pack import Background, Element, Pack
from training.light.validation import Picture
from vfxmatte.engines.light_frame import Frame
from vfxmatte.types import UNKNOWN


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small tensors are fastest on one thread, and the tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before)


def soft_disc(name, *, side=96, seed=0, kind="disc"):
    """A disc whose alpha falls off over some pixels, of one colour with a gradient."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    centre, radius = random.uniform(0.4, 0.6, 2) * side, side * random.uniform(0.2, 0.3)
    distance = np.hypot(x - centre[0], y - centre[1])
    alpha = np.clip((radius - distance) / 8 + 0.5, 0, 1)
    colour = random.uniform(40, 200, 3) + np.stack([x, y, x + y], 2) / side * 20
    return Element(
        name=name,
        kind=kind,
        colour=colour.astype(np.uint8),
        alpha=np.rint(alpha * 255).astype("u1"),
    )


def hairy_tuft(name, *, side=96, seed=0, kind="hair"):
    """A solid core with anti-aliased lines that leave it in all directions."""
    random = np.random.default_rng(seed)
    alpha = np.zeros((side, side), np.uint8)
    middle = side // 2
    cv2.circle(alpha, (middle, middle), side // 5, 255, -1, cv2.LINE_AA)
    for angle in random.uniform(0, 2 * np.pi, 60):
        length = random.uniform(0.25, 0.45) * side
        tip = (int(middle + length * np.cos(angle)), int(middle + length * np.sin(angle)))
        cv2.line(alpha, (middle, middle), tip, int(random.integers(120, 256)), 1, cv2.LINE_AA)
    colour = np.full((side, side, 3), random.integers(30, 220, 3), np.uint8)
    return Element(name=name, kind=kind, colour=colour, alpha=alpha)


def blotches(name, *, height=120, width=150, seed=0):
    """A background of large soft blotches of colour."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    colour = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return Background(name=name, colour=colour)


def drawn_pack():
    """Four foregrounds, one of them held out, and four backgrounds, one of them held out."""
    return Pack(
        elements=(
            soft_disc("disc a", seed=1),
            soft_disc("disc b", seed=2),
            hairy_tuft("tuft", seed=3),
            soft_disc("disc c", seed=4),
        ),
        backgrounds=tuple(blotches(f"blotches {n}", seed=10 + n) for n in range(4)),
        held_out=frozenset({"disc c"}),
        held_out_backgrounds=frozenset({"blotches 3"}),
        notes="drawn",
        split_seed=1,
    )


@pytest.fixture(scope="session")
def small_pack():
    return drawn_pack()


def noisy_picture(seed):
    """A picture of noise to validate on, all of it unknown."""
    planes = np.random.default_rng(seed).random((60, 50, 7)).astype(np.float32)
    frame = Frame(
        image=planes[..., :3], labels=np.full((60, 50), UNKNOWN, np.uint8), priors=planes[..., 3:6]
    )
    return Picture(group="held_out", frame=frame, truth=planes[..., 6])
