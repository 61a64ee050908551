"""Moving composites: exact, moving, blurred by motion, and a function of their seed."""

import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from training.render.moving_composites import (
    Motion,
    MovingComposite,
    load_element,
    main,
    random_motion,
)

SHAPE = (48, 80)


def element():
    rows, columns = np.mgrid[:40, :40]
    alpha = np.clip((15 - np.hypot(rows - 20, columns - 20)) / 4 + 0.5, 0, 1)
    rgba = np.dstack([alpha * 0.8, alpha * 0.2, alpha * 0.1, alpha])
    return rgba.astype(np.float32)


def shot(motion, **options):
    behind = np.full((100, 160, 3), 0.3, np.float32)
    return list(
        MovingComposite(element(), behind, motion, shape=SHAPE, length=5, **options).frames()
    )


STILL = Motion(grain=0, shutter=0)


def test_frames_are_exact_composites_in_linear_light():
    for picture, alpha in shot(replace(STILL, drift_px=(3, 0), sway_px=2)):
        expected = alpha[..., None] * (0.8, 0.2, 0.1) + (1 - alpha[..., None]) * 0.3
        assert np.abs(picture - expected).max() < 1e-4
        assert alpha.min() >= 0 and alpha.max() <= 1


def test_the_element_moves_as_configured():
    frames = shot(replace(STILL, drift_px=(3, -1)))
    middles = [
        [np.average(axis, weights=alpha) for axis in np.mgrid[: SHAPE[0], : SHAPE[1]]]
        for _, alpha in frames
    ]
    assert np.diff(middles, axis=0) == pytest.approx(np.tile((-1, 3), (4, 1)), abs=0.1)


def test_an_open_shutter_blurs_along_the_motion():
    sharp = shot(replace(STILL, drift_px=(8, 0)))[2][1]
    blurred = shot(replace(STILL, drift_px=(8, 0), shutter=1.0))[2][1]
    soft = [np.count_nonzero((a > 0.02) & (a < 0.98)) for a in (sharp, blurred)]
    assert soft[1] > 1.3 * soft[0]


def test_the_same_seed_gives_the_same_shot():
    motion = random_motion(np.random.default_rng(3))
    first, again = shot(motion, seed=4), shot(motion, seed=4)
    assert all((a[0] == b[0]).all() for a, b in zip(first, again, strict=True))
    assert any((a[0] != b[0]).any() for a, b in zip(first, shot(motion, seed=5), strict=True))


def test_a_picture_without_alpha_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "plain.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="RGBA"):
        load_element(tmp_path / "plain.png")


def test_the_command_writes_whole_shots(tmp_path, monkeypatch):
    rgba = (np.clip(element(), 0, 1) * 255).astype(np.uint8)
    for folder in ("elements", "behind"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "elements" / "ball.png"), rgba)
    cv2.imwrite(str(tmp_path / "behind" / "wall.png"), np.full((60, 90, 3), 90, np.uint8))
    folders = [str(tmp_path / name) for name in ("elements", "behind", "out")]
    options = ["--shots", "1", "--length", "2", "--size", "64x48", "--match", "*.png"]
    monkeypatch.setattr(sys, "argv", ["moving_composites", *folders, *options])
    main()
    paths = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert paths == [
        "00_ball/alpha/alpha.1001.exr",
        "00_ball/alpha/alpha.1002.exr",
        "00_ball/plate/plate.1001.exr",
        "00_ball/plate/plate.1002.exr",
        "00_ball/trimaps/trimap.1001.png",
        "00_ball/trimaps/trimap.1002.png",
    ]
